// One bind function per kernel family; module.cpp only calls them.
#pragma once

#include <pybind11/pybind11.h>

namespace cascade::bind {

void bind_pack(pybind11::module_& module);
void bind_prune(pybind11::module_& module);
void bind_pool(pybind11::module_& module);
void bind_calibrate(pybind11::module_& module);
void bind_embed(pybind11::module_& module);
void bind_maxsim(pybind11::module_& module);
void bind_stored(pybind11::module_& module);
void bind_ids(pybind11::module_& module);
void bind_explore(pybind11::module_& module);
void bind_wordpiece(pybind11::module_& module);

}  // namespace cascade::bind
