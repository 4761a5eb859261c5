"""What other systems tell, as touchpoints: each mapping is a pure function of a payload and of whose it is."""
