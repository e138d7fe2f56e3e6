package transfer

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/storage"
)

// pythonReader prints each message of INBOX and of the folder a.b/ü, with its
// flags, as Python's library for mailboxes sees it.
const pythonReader = `
import mailbox, sys
kind, path = sys.argv[1], sys.argv[2]
if kind == "maildir":
    top = mailbox.Maildir(path, create=False)
    boxes = [top, top.get_folder(r"a\2eb.&APw-")]
else:
    boxes = [mailbox.mbox(path + "/INBOX.mbox", create=False), mailbox.mbox(path + "/a.b/\u00fc.mbox", create=False)]
for box in boxes:
    lines = []
    for key, message in box.iteritems():
        flags = "".join(c for c in sorted(message.get_flags()) if c in "DFRSTAO")
        lines.append(message["Subject"] + " " + flags + " " + repr(message.get_payload()))
    print("\n".join(sorted(lines)))
`

// TestPythonReadsWhatIsExported proves that another program finds the
// messages, their folders and their flags.
func TestPythonReadsWhatIsExported(t *testing.T) {
	realtest.Require(t, "python3")
	a := newAccount(t)
	date := time.Unix(1_700_000_000, 0)
	put(t, a, "INBOX",
		mail{"Subject: 1\r\n\r\nbody\r\n", storage.Flags{System: storage.Seen | storage.Flagged}, date},
		mail{"Subject: 2\r\n\r\nFrom here\r\n", storage.Flags{System: storage.Answered | storage.Deleted}, date},
		mail{"Status: RO\r\nSubject: 3\r\n\r\nno line end", storage.NewFlags("work"), date})
	put(t, a, "a.b/ü", mail{"Subject: 4\r\n\r\n", storage.Flags{System: storage.Draft}, date})
	for format, want := range map[Format]string{
		Maildir: "1 FS 'body\\n'\n2 RT 'From here\\n'\n3  'no line end'\n4 D ''\n",
		// Python leaves the mark of quoting where it is. In an mbox, D is deleted, T a draft, and O not new.
		Mbox: "1 FOR 'body\\n'\n2 ADO '>From here\\n'\n3 O 'no line end\\n'\n4 OT ''\n",
	} {
		dir := t.TempDir()
		mustExport(t, a, dir, format)
		out, err := exec.Command("python3", "-c", pythonReader, format.String(), dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, want, string(out), format)
	}
}
