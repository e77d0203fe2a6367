"""Reference world models, their training, and the checkpoints that come with physbench.

- `architecture`: what the architectures have in common. `train`: `physbench train NAME`, from clips to checkpoint and
  card. `training_loop`: stages, learning rate and resume.
- `latent_model`, `layers`: what world models of latents share. Kinds: `simple`, `vae_mdn_rnn`,
  `rssm`, `token_ar` and `token_ar_latent`, `diffusion`, `video_dit`, `jepa_frames`. `jepa` predicts latents and states
  its surprise.
- `objects`: an object-centric model, from frames to slots (`objects_slots`), their motion (`objects_dynamics`) and
  frames again.
- `states_training`, `states_graph`, `states_transformer`: models of exact states.
"""
