package clients

import (
	"embed"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// scripts use the libraries of other languages as programs do, and fail by
// themselves when something is not as it should be.
//
//go:embed testdata/*.py testdata/*.pl
var scripts embed.FS

// PythonIMAP runs a script with Python's imaplib. It connects in all ways.
func (a *Account) PythonIMAP(t testing.TB) {
	realtest.Require(t, "python3")
	dir := t.TempDir()
	out := Run(t, dir, "python3", script(t, dir, "imaplib_client.py"), a.IMAP.Plain, a.IMAP.TLS, a.Authorities, a.User, a.Password)
	require.Contains(t, out, "all is well")
	require.Equal(t, Shelf{"2@example.org": `$Label1 \Flagged`}, a.Look(t, "Python/Copies"))
}

// PythonSubmits sends a message to some people with Python's smtplib.
func (a *Account) PythonSubmits(t testing.TB, to ...string) {
	realtest.Require(t, "python3")
	dir := t.TempDir()
	args := append([]string{script(t, dir, "smtplib_client.py"), a.TLS.String(), a.at(a.Submission), a.Authorities, a.User, a.Password}, to...)
	require.Contains(t, Run(t, dir, "python3", args...), "all is well")
}

// PerlIMAP runs a script with Perl's Mail::IMAPClient.
func (a *Account) PerlIMAP(t testing.TB) {
	realtest.Require(t, "perl")
	if exec.Command("perl", "-MMail::IMAPClient", "-e", "1").Run() != nil {
		realtest.Missing(t, "Mail::IMAPClient for Perl")
	}
	dir := t.TempDir()
	out := Run(t, dir, "perl", script(t, dir, "imapclient.pl"), a.TLS.String(), a.at(a.IMAP), a.Authorities, a.User, a.Password)
	require.Contains(t, out, "all is well")
	require.Equal(t, Shelf{"1@example.org": `\Flagged`, "3@example.org": ""}, a.Look(t, "Perl"))
	require.Equal(t, Shelf{"2@example.org": `\Seen`}, a.Look(t, "Perl moved"))
}
