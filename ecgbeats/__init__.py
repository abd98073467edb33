"""What the commands share, in a room for each step of the flow.

records -> images -> runs -> scores: a record is read, its beats become images, a run trains on them, its
predictions become scores. A room imports only rooms before it, and nothing here imports a command.
"""
