package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSnapshotIsADataDirectory takes snapshots of a node that keeps its mail in
// two locations, while it runs and while it does not, and serves each.
func TestSnapshotIsADataDirectory(t *testing.T) {
	places := t.TempDir()
	first, second := filepath.Join(places, "first"), filepath.Join(places, "second")
	require.NoError(t, os.Mkdir(first, 0o700))
	require.NoError(t, os.Mkdir(second, 0o700))
	n := startNode(t, fmt.Sprintf("[[location]]\npath = %q\nlimit = \"64K\"\n[[location]]\npath = %q\n", first, second))
	c := n.imapClient()
	require.NoError(t, c.Create("Größe", nil).Wait())
	body := make([]byte, 50<<10)
	for i := range body {
		body[i] = "Subject: x\r\n"[i%12]
	}
	for _, mailbox := range []string{"INBOX", "Größe", "INBOX"} {
		a := c.Append(mailbox, int64(len(body)), nil)
		_, err := a.Write(body)
		require.NoError(t, err)
		require.NoError(t, a.Close())
		_, err = a.Wait()
		require.NoError(t, err)
	}
	want := account(t, c)
	for _, dir := range []string{first, second} {
		segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
		require.NoError(t, err)
		require.NotEmpty(t, segments, dir)
	}
	for _, running := range []bool{true, false} {
		if !running {
			n.stop()
		}
		copied := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(copied, "config.toml"), []byte(freePorts), 0o600))
		data := filepath.Join(copied, "data")
		require.Regexp(t, `^ok: \d+ octets of mail in `, n.mustRun("", "snapshot", data))
		_, err := n.run("", "snapshot", data)
		require.Error(t, err, "it exists")
		again := startIn(t, copied)
		require.Equal(t, want, account(t, again.imapAs(n.user, n.password)))
		require.Contains(t, again.mustRun("", "check"), "ok")
		again.stop()
	}
}
