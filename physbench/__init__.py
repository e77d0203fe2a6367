"""physbench: has this world model learned physics, and if not, which law breaks, where, and how far ahead?

What one needs for an evaluation, a model, a task or a scorer of one's own is imported from here:

- evaluations: `evaluate`, `load`, `Evaluation`, `PhysbenchError`; in a training `LightningCallback`, `to_tensorboard`,
  `to_wandb`; of one clip `clip`, `score`, `score_batch`;
- models: `ModelCard`, `FrameModel`, `SteppedModel`, `PrivilegedModel`; of surprise `SurpriseCard`, `SurpriseModel`; of
  states `StateCard`, `StateModel`, and the names of the columns that they are given, `STATE_COLUMNS`,
  `BODY_COLUMNS`, `STATIC_COLUMNS`;
- tasks: `Task`, `Parameter`, `Params`, `declare`, `draw`; for parameters and conditions `RELEASE`, `hues`, `hue_name`,
  `inside`, `event_in`; for scenes `Scene`, `Camera`, `Body`, `Impulse`, `Outcome`, `Waypoint`, the forces
  `CentralGravity`, `RadialField`, `Drag`, `Spring`, `Rod`, `String`, `Hinge`, `Slider`, `Drive`, `Command`, `Thrust`,
  `Burn`, the bodies `ball`, `floor`, `table`, `wall`, `ramp`, `curve`, `screen`, `holder`, `shelf`, `held`, the masses
  `sphere_mass`, `box_mass`, `cylinder_mass`, and the greys `BACKGROUND_GREY`, `FLOOR_GREY`, `SCREEN_GREY`; for forces
  of one's own `ForceField`, `SceneLaw`, `LawConstant`;
- actions: `ActionSpace`, `Words`, `pushes`, `velocities`, `forces`, `CAMERA_POSE`, `camera_matrices`; every task as an
  environment of Gymnasium is in `physbench.envs`;
- scorers: `scorer`, `Reading`, `Clip`, `Rollout`, `Tracks`.

Training data is in `physbench.data`. A name is looked up when it is first used, so that `import physbench` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from physbench.support import errors

if TYPE_CHECKING:
    from physbench.api.evaluate import evaluate as evaluate
    from physbench.api.evaluation import Evaluation as Evaluation
    from physbench.api.evaluation import load as load
    from physbench.api.evaluation import to_tensorboard as to_tensorboard
    from physbench.api.evaluation import to_wandb as to_wandb
    from physbench.api.lightning_callback import LightningCallback as LightningCallback
    from physbench.api.one_clip import clip as clip
    from physbench.api.one_clip import score as score
    from physbench.api.one_clip import score_batch as score_batch
    from physbench.clips.action_space import CAMERA_POSE as CAMERA_POSE
    from physbench.clips.action_space import ActionSpace as ActionSpace
    from physbench.clips.action_space import Words as Words
    from physbench.clips.action_space import forces as forces
    from physbench.clips.action_space import pushes as pushes
    from physbench.clips.action_space import velocities as velocities
    from physbench.clips.clip import Clip as Clip
    from physbench.clips.task import RELEASE as RELEASE
    from physbench.clips.task import Parameter as Parameter
    from physbench.clips.task import Params as Params
    from physbench.clips.task import Task as Task
    from physbench.clips.task import declare as declare
    from physbench.clips.task import draw as draw
    from physbench.clips.task import event_in as event_in
    from physbench.clips.task import hues as hues
    from physbench.clips.task import inside as inside
    from physbench.laws.scene_law import LawConstant as LawConstant
    from physbench.laws.scene_law import SceneLaw as SceneLaw
    from physbench.models.protocol import BODY_COLUMNS as BODY_COLUMNS
    from physbench.models.protocol import STATE_COLUMNS as STATE_COLUMNS
    from physbench.models.protocol import STATIC_COLUMNS as STATIC_COLUMNS
    from physbench.models.protocol import FrameModel as FrameModel
    from physbench.models.protocol import ModelCard as ModelCard
    from physbench.models.protocol import PrivilegedModel as PrivilegedModel
    from physbench.models.protocol import StateCard as StateCard
    from physbench.models.protocol import StateModel as StateModel
    from physbench.models.protocol import SteppedModel as SteppedModel
    from physbench.models.protocol import SurpriseCard as SurpriseCard
    from physbench.models.protocol import SurpriseModel as SurpriseModel
    from physbench.rollout.store import Rollout as Rollout
    from physbench.score.protocol import Reading as Reading
    from physbench.score.protocol import scorer as scorer
    from physbench.support.errors import PhysbenchError as PhysbenchError
    from physbench.track.tracks import Tracks as Tracks
    from physbench.world.bodies import ball as ball
    from physbench.world.bodies import curve as curve
    from physbench.world.bodies import floor as floor
    from physbench.world.bodies import held as held
    from physbench.world.bodies import holder as holder
    from physbench.world.bodies import screen as screen
    from physbench.world.bodies import shelf as shelf
    from physbench.world.bodies import table as table
    from physbench.world.bodies import wall as wall
    from physbench.world.camera import camera_matrices as camera_matrices
    from physbench.world.scene import BACKGROUND_GREY as BACKGROUND_GREY
    from physbench.world.scene import FLOOR_GREY as FLOOR_GREY
    from physbench.world.scene import SCREEN_GREY as SCREEN_GREY
    from physbench.world.scene import Body as Body
    from physbench.world.scene import Burn as Burn
    from physbench.world.scene import Camera as Camera
    from physbench.world.scene import CentralGravity as CentralGravity
    from physbench.world.scene import Command as Command
    from physbench.world.scene import Drag as Drag
    from physbench.world.scene import Drive as Drive
    from physbench.world.scene import ForceField as ForceField
    from physbench.world.scene import Hinge as Hinge
    from physbench.world.scene import Impulse as Impulse
    from physbench.world.scene import Outcome as Outcome
    from physbench.world.scene import RadialField as RadialField
    from physbench.world.scene import Rod as Rod
    from physbench.world.scene import Scene as Scene
    from physbench.world.scene import Slider as Slider
    from physbench.world.scene import Spring as Spring
    from physbench.world.scene import String as String
    from physbench.world.scene import Thrust as Thrust
    from physbench.world.scene import Waypoint as Waypoint
    from physbench.world.scene import box_mass as box_mass
    from physbench.world.scene import cylinder_mass as cylinder_mass
    from physbench.world.scene import hue_name as hue_name
    from physbench.world.scene import ramp as ramp
    from physbench.world.scene import sphere_mass as sphere_mass

__version__ = "0.1.0"

_NAMES = {
    # evaluations
    "physbench.support.errors": ("PhysbenchError",),
    "physbench.api.evaluate": ("evaluate",),
    "physbench.api.evaluation": ("Evaluation", "load", "to_tensorboard", "to_wandb"),
    "physbench.api.lightning_callback": ("LightningCallback",),
    "physbench.api.one_clip": ("clip", "score", "score_batch"),
    # models
    "physbench.models.protocol": (
        "FrameModel",
        "ModelCard",
        "PrivilegedModel",
        "StateModel",
        "SurpriseModel",
        "BODY_COLUMNS",
        "STATE_COLUMNS",
        "STATIC_COLUMNS",
        "StateCard",
        "SteppedModel",
        "SurpriseCard",
    ),
    # actions
    "physbench.clips.action_space": ("ActionSpace", "CAMERA_POSE", "Words", "forces", "pushes", "velocities"),
    "physbench.world.camera": ("camera_matrices",),
    # tasks
    "physbench.clips.task": (
        "Parameter",
        "Params",
        "Task",
        "declare",
        "draw",
        "RELEASE",
        "event_in",
        "hues",
        "inside",
    ),
    "physbench.world.bodies": ("ball", "curve", "floor", "held", "holder", "screen", "shelf", "table", "wall"),
    "physbench.world.scene": (
        "BACKGROUND_GREY",
        "Body",
        "Burn",
        "Camera",
        "CentralGravity",
        "Command",
        "Drag",
        "Drive",
        "FLOOR_GREY",
        "ForceField",
        "Hinge",
        "Impulse",
        "Outcome",
        "RadialField",
        "Rod",
        "SCREEN_GREY",
        "Scene",
        "Slider",
        "Spring",
        "String",
        "Thrust",
        "Waypoint",
        "box_mass",
        "cylinder_mass",
        "hue_name",
        "ramp",
        "sphere_mass",
    ),
    "physbench.laws.scene_law": ("LawConstant", "SceneLaw"),
    # scorers
    "physbench.clips.clip": ("Clip",),
    "physbench.rollout.store": ("Rollout",),
    "physbench.score.protocol": ("Reading", "scorer"),
    "physbench.track.tracks": ("Tracks",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


errors.explain_broken_links()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'physbench' has no attribute '{name}'")
    attribute = import_module(_HOMES[name])
    return globals().get(name, getattr(attribute, name))  # `physbench.score` is a package, too, which can be called


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
