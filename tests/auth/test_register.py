"""POST /api/auth/register"""

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from auth_fixtures import PASSWORD
