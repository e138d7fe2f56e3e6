package realtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What is in every SambaAD, beside its users and groups (see SambaUser).
const (
	SambaBase     = "DC=ad,DC=example,DC=test"
	SambaUsers    = "CN=Users," + SambaBase
	SambaDomain   = "ADEX"            // the short name, as in ADEX\user0
	SambaRealm    = "ad.example.test" // as in user0@ad.example.test
	SambaPassword = "Passw0rd!pw"     // of everybody

	// SambaReader is an ordinary user. Anonymous clients find nothing.
	SambaReader = "CN=Mail Reader," + SambaUsers
	SambaAdmin  = "CN=Administrator," + SambaUsers
)

// SambaOptions says what a SambaAD is like. The zero value has ten users.
type SambaOptions struct {
	Users  int    // 0: 10; at least 4
	Global string // further lines of smb.conf: "ldap server require strong auth = yes"
}

// SambaAD is a running Samba as a domain controller of Active Directory, of
// which only LDAP is served. It listens on ports 389 and 636 (and 3268, 3269:
// the global catalog), which are fixed in Samba, so it has an address of its
// own in 127.0.0.0/8. Its certificate is that of internal/testcert, so TLS
// needs the server's name to be set to "localhost", as testcert.Client does.
type SambaAD struct {
	Address string // 127.x.y.z
	dir     string
	process *process
}

// RequireSamba skips a test when Samba can't be started.
func RequireSamba(t testing.TB) {
	t.Helper()
	Require(t, "samba", "samba-tool")
	RequireRoot(t)
}

// StartSambaAD starts a domain controller; to set a new one up takes some ten
// seconds, so start one for all tests of a package. Stop it afterwards.
func StartSambaAD(ctx context.Context, o SambaOptions) (*SambaAD, error) {
	if os.Getuid() != 0 {
		return nil, errNotRoot
	}
	address, err := freeLoopback()
	if err != nil {
		return nil, err
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	s := &SambaAD{Address: address, dir: dir}
	if err := s.start(ctx, o); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *SambaAD) start(ctx context.Context, o SambaOptions) error {
	if err := s.provision(ctx); err != nil {
		return err
	}
	if err := s.configure(o); err != nil {
		return err
	}
	if err := s.Restart(ctx); err != nil {
		return err
	}
	if o.Users == 0 {
		o.Users = 10
	}
	if err := s.fill(o.Users); err != nil {
		s.Kill()
		return err
	}
	return nil
}

// URI is for plain connections and StartTLS.
func (s *SambaAD) URI() string { return "ldap://" + s.Address }

// SecureURI is for TLS from the first byte.
func (s *SambaAD) SecureURI() string { return "ldaps://" + s.Address }

// Restart starts the server again, after Kill, with the same address and content.
func (s *SambaAD) Restart(ctx context.Context) error {
	var err error
	s.process, err = startProcess(filepath.Join(s.dir, "out"), "samba",
		"-s", filepath.Join(s.dir, "smb.conf"), "-F", "--no-process-group", "-M", "single")
	if err != nil {
		return err
	}
	return s.process.ready(ctx, s.Address+":389", s.Address+":636")
}

// Kill ends the server at once (SIGKILL).
func (s *SambaAD) Kill() { s.process.end(syscall.SIGKILL) }

// Stop ends the server and removes its state.
func (s *SambaAD) Stop() {
	_ = s.process.resume()
	s.process.end(syscall.SIGTERM)
	_ = os.RemoveAll(s.dir)
}

// Pause lets the server stand still, as Slapd.Pause does.
func (s *SambaAD) Pause() error { return s.process.pause() }

// Resume lets it go on.
func (s *SambaAD) Resume() error { return s.process.resume() }

// freeLoopback returns an address of 127.0.0.0/8 where nobody serves LDAP.
func freeLoopback() (string, error) {
	var err error
	for range 20 {
		address := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		var l net.Listener
		if l, err = net.Listen("tcp", address+":389"); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.Join(errors.New("no free address in 127.0.0.0/8 to serve LDAP at"), err)
}

func (s *SambaAD) provision(ctx context.Context) error {
	return run(ctx, "samba-tool", "domain", "provision",
		"--targetdir="+filepath.Join(s.dir, "ad"), "--realm="+strings.ToUpper(SambaRealm), "--domain="+SambaDomain,
		"--adminpass="+SambaPassword, "--server-role=dc", "--dns-backend=NONE", "--use-rfc2307",
		"--host-name=dc1", "--host-ip="+s.Address, "--option=bind interfaces only=yes", "--option=interfaces="+s.Address+"/8",
		"--option=ldb:nosync=yes",
		// The file server, which is not started, would want a file system with ACLs.
		"--option=vfs objects=dfs_samba4")
}

func (s *SambaAD) configure(o SambaOptions) error {
	if err := writeCertificate(s.dir); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(s.dir, "run"), 0o755); err != nil {
		return err
	}
	return write(s.dir, "smb.conf", strings.NewReplacer(
		"$DIR", s.dir, "$ADDRESS", s.Address, "$DOMAIN", SambaDomain, "$REALM", strings.ToUpper(SambaRealm), "$GLOBAL", o.Global,
	).Replace(sambaConf))
}

const sambaConf = `[global]
server role = active directory domain controller
server services = ldap
workgroup = $DOMAIN
realm = $REALM
netbios name = DC1
interfaces = $ADDRESS/8
bind interfaces only = yes
lock directory = $DIR/ad
cache directory = $DIR/ad/cache
state directory = $DIR/ad/state
private dir = $DIR/ad/private
binddns dir = $DIR/ad/bind-dns
pid directory = $DIR/run
ncalrpc dir = $DIR/run/ncalrpc
winbindd socket directory = $DIR/run/winbindd
ntp signd socket directory = $DIR/run/ntp
log file = $DIR/log
tls certfile = $DIR/cert.pem
tls keyfile = $DIR/key.pem
tls cafile =
ldap server require strong auth = no
idmap_ldb:use rfc2307 = yes
ldb:nosync = yes
$GLOBAL
`
