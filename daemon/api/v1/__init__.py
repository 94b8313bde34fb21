"""The ``/v1`` API: channels as resources, as the create-a-channel page and the pages next to it document them."""
