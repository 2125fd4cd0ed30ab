"""Pictures of a round. Importing any of these modules loads matplotlib and seaborn, which takes seconds."""
