"""GitHub, github.com or Enterprise Server, behind the ports of a forge."""
