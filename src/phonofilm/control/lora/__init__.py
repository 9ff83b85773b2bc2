"""Low-rank adapters (LoRA, Hu et al., 2106.09685): made through peft, read from every common layout, merged."""
