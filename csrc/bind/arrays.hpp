// The one place that turns a NumPy array into a span. Together with `.noconvert()` on every argument it refuses what
// pybind11 alone lets through: wrong ndim, misaligned buffers, read-only outputs, outputs that overlap inputs.
#pragma once

#include "check.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace cascade::bind {

namespace py = pybind11;
using namespace pybind11::literals;

template <typename T>
using Array = py::array_t<T, py::array::c_style>;
using IntArray = Array<std::int64_t>;
using FloatArray = Array<float>;

template <typename T>
void check_layout(const Array<T>& array, const char* name, py::ssize_t ndim) {
    require(array.ndim() == ndim, name, ": expected ", ndim, " dimension(s), got ", array.ndim());
    require(reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0, name,
            ": misaligned buffer; pass numpy.ascontiguousarray(x).copy()");
}

// A read-only view of all elements, whatever the (checked) number of dimensions.
template <typename T>
std::span<const T> input(const Array<T>& array, const char* name, py::ssize_t ndim = 1) {
    check_layout(array, name, ndim);
    return {array.data(), static_cast<std::size_t>(array.size())};
}

template <typename T>
std::span<T> output(Array<T>& array, const char* name, py::ssize_t ndim = 1) {
    check_layout(array, name, ndim);
    require(array.writeable(), name, ": read-only array; outputs are written in place");
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

// For optional tensors: None becomes an empty span.
template <typename T>
std::span<T> optional_output(std::optional<Array<T>>& array, const char* name, py::ssize_t ndim = 1) {
    return array ? output(*array, name, ndim) : std::span<T>{};
}

template <typename A, typename B>
void check_apart(std::span<A> out, const char* out_name, std::span<B> in, const char* in_name) {
    const auto begin = [](const auto& span) { return reinterpret_cast<std::uintptr_t>(span.data()); };
    const auto end = [&](const auto& span) { return begin(span) + span.size_bytes(); };
    require(out.empty() || in.empty() || end(out) <= begin(in) || end(in) <= begin(out), out_name, ": overlaps ",
            in_name, "; give it a buffer of its own");
}

template <typename T>
Array<T> copy_of(std::span<const T> values) {
    return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

}  // namespace cascade::bind
