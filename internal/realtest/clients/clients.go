// Package clients drives other people's mail clients, as people use them,
// against an account, and looks at what has become of its mail. A driver is a
// method of Account whose test fails where a client does not do what it is for;
// each skips when its client is not installed (see realtest.Require).
//
// The programs run with a temporary directory as their HOME, and end with the
// test.
package clients

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Account is somebody's account, and where clients find it. Each driver wants
// one without mail.
type Account struct {
	User, Password string

	TLS         TLS    // how clients connect
	Authorities string // PEM file with the certificate that they are to trust; needed where they use TLS

	IMAP, POP3, Submission, Sieve Service // empty: no driver needs it

	// Behind connects to IMAP, without TLS, of the server that has the mail, past
	// all proxies: to put mail there and to look at it. nil: to IMAP.
	Behind         func() (net.Conn, error)
	BehindPassword string // there; empty: Password
}

// Service is where a protocol is served.
type Service struct {
	Plain string // address, with STARTTLS where clients want it
	TLS   string // address where TLS begins with the first octet
}

// TLS is how clients connect.
type TLS int

// The ways to connect. Clients verify the certificate in both with TLS.
const (
	NoTLS    TLS = iota
	StartTLS     // by the command of that kind, STARTTLS or STLS
	Implicit     // from the first octet
)

// String names the way.
func (m TLS) String() string { return [...]string{"plain", "STARTTLS", "TLS"}[m] }

// at returns the address of a service that is to be connected to.
func (a *Account) at(s Service) string {
	if a.TLS == Implicit {
		return s.TLS
	}
	return s.Plain
}

// hostPort is at in two.
func (a *Account) hostPort(s Service) (host, port string) {
	host, port, _ = net.SplitHostPort(a.at(s))
	return host, port
}

// by returns what stands for the way that clients connect.
func (a *Account) by(plain, start, implicit string) string {
	return [...]string{plain, start, implicit}[a.TLS]
}

const (
	waitLong = 60 * time.Second
	waitTick = 20 * time.Millisecond
)

// Run runs a program in a directory, which is its HOME, and returns what it
// printed. The test ends when it fails.
func Run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	out, err := Output(t, dir, name, args...)
	require.NoError(t, err, "%s: %s", name, out)
	return out
}

// Output is Run for a program that may fail.
func Output(t testing.TB, dir, name string, args ...string) (string, error) {
	t.Helper()
	cmd, cancel := command(t, dir, name, args...)
	defer cancel()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// command prepares a program that is killed after two minutes.
func command(t testing.TB, dir, name string, args ...string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.Env = append(os.Environ(), "HOME="+dir)
	return cmd, cancel
}

// writeFile writes a client's configuration.
func writeFile(t testing.TB, file string, lines ...string) {
	t.Helper()
	text := ""
	for _, line := range lines {
		text += line + "\n"
	}
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

// script writes one of this package's scripts to a directory.
func script(t testing.TB, dir, name string) string {
	t.Helper()
	text, err := scripts.ReadFile("testdata/" + name)
	require.NoError(t, err)
	file := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}
