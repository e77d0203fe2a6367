"""Reference world models, their training, and the checkpoints that come with physbench.

- `architecture`: what the architectures have in common.
- `autoencoders`, `latent_bank`, `latent_model`, `layers`: what world models of latents share: frames to latents and
  back, training data on the device, stages and losses, layers. Kinds are `simple`, `vae_mdn_rnn`, `rssm`, `token_ar`,
  `diffusion`, `video_dit` and `jepa_frames`.
- `jepa` predicts latents and states its surprise; its losses are in `jepa_training`.
- `objects` is an object-centric model, in the order of its data:
- `segmentation`: frames to shares of colour slots. `backdrop`: the background, and a grey screen that moves in front.
- `shapes`, `surfaces`: outlines and shading of objects; surfaces in the background that objects may touch.
- `slots`: all of this as the slots of a clip.
- `learned_dynamics`, `initial_state`: learned motion, and the state at the first frame that fits what was seen.
- `drawing`: positions to frames.
- `training_loop`: stages, learning rate and resume, for every architecture; `objects_training` and `motion_training`
  hold the stages and losses of `objects`.
- `train`: `physbench train NAME`, from clips to the checkpoint, `training_card` and `validation_curve`.
"""
