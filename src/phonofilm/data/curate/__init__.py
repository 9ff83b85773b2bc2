"""From raw film to shards that train: shots are measured step by step, judged by rules, written with their rights."""
