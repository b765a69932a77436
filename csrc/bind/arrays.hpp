// The one place that turns a NumPy array into a span. Together with `.noconvert()` on every argument it refuses what
// pybind11 alone lets through: wrong ndim, misaligned buffers, read-only outputs, outputs that overlap inputs.
#pragma once

#include "check.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
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

// A buffer of one call: outputs must not overlap anything, inputs may overlap each other.
struct Region {
    const void* data;
    std::size_t bytes;
    const char* name;
    bool written;
};

template <typename T>
Region reads(std::span<T> span, const char* name) {
    return {span.data(), span.size_bytes(), name, false};
}

template <typename T>
Region writes(std::span<T> span, const char* name) {
    return {span.data(), span.size_bytes(), name, true};
}

inline void check_apart(std::initializer_list<Region> regions) {
    const auto begin = [](const Region& region) { return reinterpret_cast<std::uintptr_t>(region.data); };
    for (const Region* a = regions.begin(); a != regions.end(); ++a) {
        for (const Region* b = a + 1; b != regions.end(); ++b) {
            const bool apart = a->bytes == 0 || b->bytes == 0 || begin(*a) + a->bytes <= begin(*b) ||
                               begin(*b) + b->bytes <= begin(*a);
            require(apart || !(a->written || b->written), a->written ? a->name : b->name, ": overlaps ",
                    a->written ? b->name : a->name, "; give it a buffer of its own");
        }
    }
}

template <typename T>
Array<T> copy_of(std::span<const T> values) {
    return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

}  // namespace cascade::bind
