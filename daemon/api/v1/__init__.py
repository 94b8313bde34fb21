"""The ``/v1`` door: channels as resources, as the create-a-channel page and its neighbours document them."""
