"""Cross-encoders in torch: what a step draws, its losses, the loop, checkpoints; hard negatives."""
