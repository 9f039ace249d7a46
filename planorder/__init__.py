"""planorder: in which order should a masked diffusion model fill the blanks, and what is that order worth?"""
