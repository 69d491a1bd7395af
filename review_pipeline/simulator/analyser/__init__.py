"""The stand-in for a model: finds code in a prompt, checks it with static rules, and words the answer as asked."""
