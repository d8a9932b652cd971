"""The parts that a real OpenSearch node on this machine is made of: places, jars, Java, layout, process, state."""
