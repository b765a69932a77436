// Fusion: several scores per candidate -> one value that orders those that reached the same stage.
// A source is the first pass (0) or a stage (1 + its place). All sources hold finite values for every candidate given.
#pragma once

#include "calibrate.hpp"
#include "types.hpp"

#include <span>
#include <vector>

namespace cascade {

enum class FusionKind { last, rrf, convex, weighted };
enum class Normalisation { z_score, min_max };

struct Fusion {
    FusionKind kind = FusionKind::last;
    Normalisation normalisation = Normalisation::z_score;
    double rrf_k = 60.0;
    std::vector<double> weights;            // one per source; 0 leaves it out
    std::vector<Calibration> calibrations;  // one per source, read by `weighted` alone
};

// One source's scores of the candidates being ordered, in their previous order.
struct Source {
    std::size_t index = 0;  // into Fusion::weights
    std::span<const double> scores;
};

// values: [n]. The last source is the stage just scored. Weights are divided by the sum of those of the sources
// present, so a missing first pass or a skipped stage leaves the others' proportions as they were.
//   last      the last source's score
//   rrf       sum of w / (rrf_k + rank), rank 1-based under ranks_before      (Cormack, Clarke, Buettcher, SIGIR 2009)
//   convex    sum of w * normalised score; a source without spread adds 0     (Bruch, Gai, Ingber, arXiv 2210.11934)
//   weighted  sum of w * calibrated log-odds: an average, so its unit is log-odds; its sigmoid is no fitted probability
//             (sources that agree would have to add up to more than any one of them)
// Weights that are all 0 give everybody the value 0: such stages cut, and leave the order as it was.
void fuse(const Fusion& fusion, std::span<const Source> sources, std::span<double> values);

}  // namespace cascade
