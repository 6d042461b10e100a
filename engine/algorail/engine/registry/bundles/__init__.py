"""Code bundles: a user's own blocks, packed with a version, run in a supervised worker process.

    archive       bytes ⇄ checked, content-hashed files
    pack          which modules and requirements an algorithm's file needs (on the author's side)
    environment   where the packages that a bundle declares come from
    worker        the child: imports the bundle and answers calls
    process       the parent's end of one child
    pool          warm children of one bundle, replaced when they die
    kinds         a bundle's blocks as `BlockKind`s
    runner        all of it for one server

Nothing of a bundle is imported outside a child, unless the operator's policy says `trusted`.
"""
