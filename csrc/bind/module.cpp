#include "bind.hpp"

#include <pybind11/pybind11.h>

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
    // Holds while no kernel keeps a pointer after it returns and none has mutable globals.
    module.doc() = "Native kernels of cascaderank; called through cascaderank.kernels.";
    cascade::bind::bind_pack(module);
    cascade::bind::bind_prune(module);
    cascade::bind::bind_calibrate(module);  // before the pool, whose fusion takes calibrations
    cascade::bind::bind_pool(module);
    cascade::bind::bind_embed(module);
    cascade::bind::bind_maxsim(module);
    cascade::bind::bind_stored(module);
    cascade::bind::bind_ids(module);
    cascade::bind::bind_explore(module);
    cascade::bind::bind_wordpiece(module);
}
