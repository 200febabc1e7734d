"""The method `weather`: `method` trains, `mix` reads what --weather says, `draws` applies it to a batch."""
