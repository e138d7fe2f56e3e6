package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest/clients"
)

// account is the node's user as other people's mail clients see him.
func (n *testNode) account() *clients.Account {
	service := func(name string) clients.Service {
		return clients.Service{Plain: n.address[name], TLS: n.address[name+" (TLS)"]}
	}
	return &clients.Account{
		User: n.user, Password: n.password, Authorities: filepath.Join(n.dir, "data", "tls", "cert.pem"),
		IMAP: service("IMAP"), POP3: service("POP3"), Submission: service("submission"),
	}
}

// TestClientsWorkWithANode of their own each.
func TestClientsWorkWithANode(t *testing.T) {
	for name, drive := range map[string]func(a *clients.Account, t testing.TB){
		"curl IMAP": (*clients.Account).CurlIMAP, "curl POP3": (*clients.Account).CurlPOP3,
		"fetchmail IMAP": (*clients.Account).FetchmailIMAP, "fetchmail POP3": (*clients.Account).FetchmailPOP3,
		"getmail IMAP": (*clients.Account).GetmailIMAP, "getmail POP3": (*clients.Account).GetmailPOP3,
		"neomutt": (*clients.Account).Neomutt, "offlineimap": (*clients.Account).OfflineIMAP,
		"Perl": (*clients.Account).PerlIMAP, "Python": (*clients.Account).PythonIMAP,
	} {
		t.Run(name, func(t *testing.T) { drive(startNode(t, "").account(), t) })
	}
}

// TestClientsLogInOverTLS to a node that takes no password in the clear.
func TestClientsLogInOverTLS(t *testing.T) {
	n := startNode(t, "plaintext_auth = \"never\"\n")
	c := n.dial("IMAP")
	require.Regexp(t, `^\* OK `, c.line())
	c.send("a LOGIN x y\r\n")
	require.Regexp(t, "^a NO .PRIVACYREQUIRED", c.line())
	a := n.account()
	for _, a.TLS = range []clients.TLS{clients.StartTLS, clients.Implicit} {
		t.Run(a.TLS.String(), func(t *testing.T) {
			a.CurlMechanisms(t)
			a.CurlSubmits(t, n.user)
		})
	}
}

// TestGSASLLogsInWithSCRAM in the clear, where no password may be shown, and
// bound to the TLS connection.
func TestGSASLLogsInWithSCRAM(t *testing.T) {
	a := startNode(t, "plaintext_auth = \"never\"\n").account()
	for protocol, s := range map[string]clients.Service{"imap": a.IMAP, "smtp": a.Submission} {
		a.TLS = clients.NoTLS
		a.GSASL(t, protocol, s, "--mechanism", "SCRAM-SHA-256")
		a.GSASLIsRefused(t, protocol, s, "--mechanism", "SCRAM-SHA-256")
		a.TLS = clients.StartTLS
		a.GSASL(t, protocol, s, "--mechanism", "SCRAM-SHA-256", "--no-cb")
		a.GSASL(t, protocol, s, "--mechanism", "SCRAM-SHA-256-PLUS")
		a.GSASL(t, protocol, s, "--mechanism", "SCRAM-SHA-256-PLUS", "--priority", "NORMAL:-VERS-TLS1.3")
		a.GSASL(t, protocol, s) // as it chooses itself
	}
}

func TestProgramsSubmitWithALogin(t *testing.T) {
	a := startNode(t, "").account()
	a.SwaksSubmits(t, a.User)
	a.Arrives(t, "Subject: sent by swaks")
	a.TLS = clients.StartTLS
	a.PythonSubmits(t, a.User)
	a.Arrives(t, "Subject: sent by Python")
}

func TestMbsyncSyncsBothWaysThoughKilledAtRandomPoints(t *testing.T) {
	n := startNode(t, "")
	listening := n.sockets()
	m := n.account().NewMbsync(t, 1000)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	killed := 0
	for range 8 {
		if m.Kill(time.Duration(20+random.IntN(600)) * time.Millisecond) {
			killed++
		}
		// mbsync looks once, at its start, for the messages that it was
		// appending when it was killed. What it had sent and the node stores
		// only after that look, it appends again.
		n.waitUntilUnused(listening)
	}
	t.Logf("killed %d times", killed)
	m.SyncsBothWays()
}

func (n *testNode) port(service string) string {
	_, port, _ := strings.Cut(n.address[service], ":")
	return port
}

// sockets returns the inodes of the sockets that the node holds: after its
// start, those that listen.
func (n *testNode) sockets() (inodes []string) {
	n.t.Helper()
	files := fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid)
	entries, err := os.ReadDir(files)
	require.NoError(n.t, err)
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join(files, e.Name())) // fails for what was closed meanwhile
		if strings.HasPrefix(target, "socket:") {
			inodes = append(inodes, target)
		}
	}
	return inodes
}

// waitUntilUnused waits until the node is done with all its connections and
// holds no sockets but those that listen. The kernel's table of connections
// could not tell: when a program is killed with answers unread, the kernel
// resets its connection and forgets it at once, but the node still serves the
// commands that it had received by then. Connections that it has not accepted
// yet have brought none: clients wait for the greeting.
func (n *testNode) waitUntilUnused(listening []string) {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		return !slices.ContainsFunc(n.sockets(), func(s string) bool { return !slices.Contains(listening, s) })
	}, 30*time.Second, 5*time.Millisecond)
}
