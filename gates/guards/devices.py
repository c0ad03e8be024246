"""Names that Windows gives to devices, in whatever folder a file of that name lies."""

import re

WINDOWS_DEVICES = re.compile(r"^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])$")
"""Of a name in lower case, up to its first dot and without blanks at its end."""
