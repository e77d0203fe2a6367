"""How scenes are drawn. `known_looks` draws one in the look of a render spec: plain, by `physbench.world.rendering`, or
natural, by the sub-package `natural`."""
