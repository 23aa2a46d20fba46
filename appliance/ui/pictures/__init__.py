"""Pictures of a plan as SVG text: the rack elevation, the CRUSH tree, the cabling. Pure functions of the layout.

They carry classes, not colours: the stylesheet gives those, for light and dark. Nothing in them is a script or a style, so
the pages' content security policy holds. Every picture has a title and a description for who does not see it.
"""
