package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// TestPerlMailIMAPClient runs testdata/imapclient.pl, which fails by itself
// when something is not as it should be.
func TestPerlMailIMAPClient(t *testing.T) {
	realtest.Require(t, "perl")
	if exec.Command("perl", "-MMail::IMAPClient", "-e", "1").Run() != nil {
		realtest.Missing(t, "Mail::IMAPClient for Perl")
	}
	n := startNode(t, "")
	script, err := filepath.Abs("testdata/imapclient.pl")
	require.NoError(t, err)
	out := runTool(t, t.TempDir(), "perl", script, n.port("IMAP"), n.user, n.password)
	t.Log(out)
	require.Contains(t, out, "all is well")
	require.Equal(t, shelf{"1@example.org": `\Flagged`, "3@example.org": ""}, n.shelf("Perl"))
	require.Equal(t, shelf{"2@example.org": `\Seen`}, n.shelf("Perl moved"))
}
