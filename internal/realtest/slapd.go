package realtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// What is in every Slapd, beside its users and groups (see SlapdOptions).
const (
	SlapdBase          = "dc=example,dc=test"
	SlapdPeople        = "ou=people," + SlapdBase
	SlapdGroups        = "ou=groups," + SlapdBase
	SlapdAdmin         = "cn=admin," + SlapdBase // may do everything
	SlapdAdminPassword = "adminpw"

	// SlapdReader is a service account that reads everything, passwords too,
	// without limits.
	// Anonymous clients and users read everything but passwords, and 500
	// entries at most.
	SlapdReader         = "cn=reader,ou=services," + SlapdBase
	SlapdReaderPassword = "readerpw"
)

// SlapdOptions says what a Slapd is like. The zero value has ten users.
type SlapdOptions struct {
	// Users is how many users there are, at least 4: user0@example.test, … with the
	// password "pw"; 0: 10. More is in SlapdUser.
	Users int
	// Of is a server whose content this one replicates (RFC 4533,
	// refreshAndPersist), instead of having users of its own.
	Of *Slapd
	// Global, Database and Syncprov are further lines of slapd.conf, in its
	// first part, in that of the database and in that of the overlay syncprov:
	// "disallow bind_anon", "sizelimit 5", "syncprov-sessionlog 100".
	Global, Database, Syncprov string
	// Overlays is what the database has; nil: memberof and syncprov.
	Overlays []string
}

// Slapd is a running OpenLDAP server on 127.0.0.1. Its certificate is that of
// internal/testcert, for 127.0.0.1 and localhost.
type Slapd struct {
	LDAP, LDAPS int    // ports
	Socket      string // path, for ldapi
	dir         string
	process     *process
	options     SlapdOptions
}

// StartSlapd starts an OpenLDAP server. Stop it afterwards.
func StartSlapd(ctx context.Context, o SlapdOptions) (*Slapd, error) {
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	if o.Users == 0 {
		o.Users = 10
	}
	s := &Slapd{LDAP: ports[0], LDAPS: ports[1], Socket: filepath.Join(dir, "ldapi"), dir: dir, options: o}
	if err := s.configure(); err != nil {
		return nil, err
	}
	if err := s.Restart(ctx); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	if o.Of == nil {
		err = s.fill()
	} else {
		err = s.CatchUp(ctx)
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// URI is for plain connections and StartTLS.
func (s *Slapd) URI() string { return fmt.Sprintf("ldap://127.0.0.1:%d", s.LDAP) }

// SecureURI is for TLS from the first byte.
func (s *Slapd) SecureURI() string { return fmt.Sprintf("ldaps://127.0.0.1:%d", s.LDAPS) }

// SocketURI is for the Unix socket.
func (s *Slapd) SocketURI() string { return "ldapi://" + s.Socket }

// Restart starts the server again, after Kill, with the same ports and content.
func (s *Slapd) Restart(ctx context.Context) error {
	listen := fmt.Sprintf("%s %s ldapi://%s", s.URI(), s.SecureURI(), url.QueryEscape(s.Socket))
	var err error
	s.process, err = startProcess(filepath.Join(s.dir, "log"), "slapd",
		"-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", listen) // -d: in the foreground
	if err != nil {
		return err
	}
	return s.process.ready(ctx, fmt.Sprintf("127.0.0.1:%d", s.LDAP), fmt.Sprintf("127.0.0.1:%d", s.LDAPS), s.Socket)
}

// Kill ends the server at once (SIGKILL).
func (s *Slapd) Kill() { s.process.end(syscall.SIGKILL) }

// Stop ends the server and removes its state.
func (s *Slapd) Stop() {
	_ = s.process.resume()
	s.process.end(syscall.SIGTERM)
	_ = os.RemoveAll(s.dir)
}

// Pause lets the server stand still: connections are taken by the system and
// stay open, and nothing is answered.
func (s *Slapd) Pause() error { return s.process.pause() }

// Resume lets it go on.
func (s *Slapd) Resume() error { return s.process.resume() }

func (s *Slapd) configure() error {
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o755); err != nil {
		return err
	}
	if err := writeCertificate(s.dir); err != nil {
		return err
	}
	replica := ""
	if s.options.Of != nil {
		replica = fmt.Sprintf(slapdReplica, s.options.Of.URI())
	}
	return write(s.dir, "slapd.conf", strings.NewReplacer("$DIR", s.dir, "$GLOBAL", s.options.Global,
		"$DATABASE", s.options.Database, "$REPLICA", replica).Replace(slapdConf)+s.overlays())
}

const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/misc.schema
pidfile $DIR/pid
argsfile $DIR/args
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload syncprov
TLSCertificateFile $DIR/cert.pem
TLSCertificateKeyFile $DIR/key.pem
$GLOBAL
database mdb
suffix "dc=example,dc=test"
rootdn "cn=admin,dc=example,dc=test"
rootpw adminpw
directory $DIR/db
maxsize 268435456
dbnosync
index objectClass,uid,mail,mailLocalAddress,member,memberOf,entryUUID,entryCSN eq
limits dn.exact="cn=reader,ou=services,dc=example,dc=test" size=unlimited time=unlimited
access to attrs=userPassword by dn.exact="cn=reader,ou=services,dc=example,dc=test" read by self write by anonymous auth by * none
access to * by * read
$DATABASE
$REPLICA
`

func (s *Slapd) overlays() string {
	of := s.options.Overlays
	if of == nil {
		of = []string{"memberof", "syncprov"}
	}
	lines := ""
	for _, name := range of {
		lines += "overlay " + name + "\n" + map[string]string{"memberof": "memberof-refint TRUE\n", "syncprov": s.options.Syncprov + "\n"}[name]
	}
	return lines
}

const slapdReplica = `syncrepl rid=001 provider=%[1]s type=refreshAndPersist retry="1 +" searchbase="dc=example,dc=test"
  bindmethod=simple binddn="cn=admin,dc=example,dc=test" credentials=adminpw
updateref %[1]s`
