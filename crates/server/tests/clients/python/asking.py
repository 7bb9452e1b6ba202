"""How a user of a package asks that does not resume.

Without a key once. With a key, a request whose stream broke is made again with the same Idempotency-Key, and answered
from the start: what the broken one said must be how the whole begins.
"""

import json
import sys

ATTEMPTS = 10


def ask(stream, broken_by):
    """Asks as the script's argument says, and prints what came of it as JSON.

    `stream(arguments, headers, parts, told)` appends each piece of text to `parts`, and notes in `told` what else there
    is to tell; a break is one of the exceptions `broken_by`.
    """
    arguments = json.loads(sys.argv[1])
    key = arguments.get("key")
    headers = {"Idempotency-Key": key} if key else {}
    told, parts = {"errors": [], "resumes": 0}, []
    for _ in range(ATTEMPTS):
        broken, parts = parts, []
        try:
            stream(arguments, headers, parts, told)
        except broken_by as error:
            if key is None:
                told["errors"].append(repr(error))
                break
            told["resumes"] += 1
        else:
            if not "".join(parts).startswith("".join(broken)):
                told["errors"].append(f"another answer: {broken}")
            break
    print(json.dumps(told | {"text": "".join(parts), "deltas": len(parts)}))
