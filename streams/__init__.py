"""The processor: the ladder as a pure fold, the shard step over Redis, the publisher, and the Faust app that carries them."""
