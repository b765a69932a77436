"""What models are worth: sets, scores by the engine, systems, intervals, tables; ways to quantise beside fp32."""
