package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// TestPythonImaplib runs testdata/imaplib_client.py, which fails by itself
// when something is not as it should be.
func TestPythonImaplib(t *testing.T) {
	realtest.Require(t, "python3")
	n := startNode(t, "")
	script, err := filepath.Abs("testdata/imaplib_client.py")
	require.NoError(t, err)
	out := runTool(t, t.TempDir(), "python3", script, n.port("IMAP"), n.port("IMAP (TLS)"), n.user, n.password)
	t.Log(out)
	require.Contains(t, out, "all is well")
	require.Equal(t, shelf{"2@example.org": `$Label1 \Flagged`}, n.shelf("Python/Copies"))
}
