// One bind function per kernel family; module.cpp only calls them.
#pragma once

#include <pybind11/pybind11.h>

namespace cascade::bind {

void bind_pack(pybind11::module_& module);
void bind_prune(pybind11::module_& module);
void bind_pool(pybind11::module_& module);
void bind_embed(pybind11::module_& module);
void bind_maxsim(pybind11::module_& module);
void bind_wordpiece(pybind11::module_& module);

}  // namespace cascade::bind
