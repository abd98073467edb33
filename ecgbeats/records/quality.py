"""Where a signal is too poor to judge: beats that look like noise, gaps, and long stretches without a beat."""

import numpy as np
from scipy.signal import butter, sosfiltfilt
