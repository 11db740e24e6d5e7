"""What images the drawn data set may have; imports nothing, since flags need it."""

# People are numbered from 1 in uint8 labels, things from MAX_PEOPLE + 1.
MAX_PEOPLE = 20
# Smaller people would not be recognisable.
MIN_SIDE = 64
MAX_SIDE = 4096
# Shorter side over longer side: square, 4:3 and 3:2.
ASPECT_RATIOS = (1.0, 3 / 4, 2 / 3)
