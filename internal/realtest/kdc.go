package realtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// KDCOptions say what a KDC is like.
type KDCOptions struct {
	Realm string // empty: EXAMPLE.TEST
	// Enctypes are the encryption types of keys and tickets, with spaces
	// between them; empty: aes256-cts-hmac-sha1-96.
	Enctypes string
}

// KDC is a running key distribution centre of MIT Kerberos on 127.0.0.1. The
// host "localhost" is in its realm, and clients ask for services of the very
// name that they were given.
type KDC struct {
	Realm   string
	dir     string
	port    int
	process *process
}

// RequireKDC skips a test when MIT Kerberos is not installed.
func RequireKDC(t testing.TB) {
	t.Helper()
	Require(t, "krb5kdc", "kadmin.local", "kdb5_util", "kinit")
}

// StartKDC starts a key distribution centre without users. Stop it afterwards.
func StartKDC(ctx context.Context, o KDCOptions) (*KDC, error) {
	if o.Realm == "" {
		o.Realm = "EXAMPLE.TEST"
	}
	if o.Enctypes == "" {
		o.Enctypes = "aes256-cts-hmac-sha1-96"
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	k := &KDC{Realm: o.Realm, dir: dir}
	if err := k.start(ctx, o.Enctypes); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return k, nil
}

func (k *KDC) start(ctx context.Context, enctypes string) (err error) {
	if k.port, err = FreePort(); err != nil {
		return err
	}
	keys := strings.ReplaceAll(enctypes+" ", " ", ":normal ")
	fill := strings.NewReplacer("$DIR", k.dir, "$REALM", k.Realm, "$PORT", fmt.Sprint(k.port), "$ENCTYPES", enctypes, "$KEYS", keys)
	if err := write(k.dir, "krb5.conf", fill.Replace(krb5Conf)); err != nil {
		return err
	}
	if err := write(k.dir, "kdc.conf", fill.Replace(kdcConf)); err != nil {
		return err
	}
	if err := k.run(ctx, "kdb5_util", "create", "-s", "-r", k.Realm, "-P", "master"); err != nil {
		return err
	}
	return k.Restart(ctx)
}

// Restart starts the centre again, after Kill, with the same port and content.
func (k *KDC) Restart(ctx context.Context) error {
	var err error
	k.process, err = startProcess(filepath.Join(k.dir, "out"), "env", append(k.Environment(""), "krb5kdc", "-n")...)
	if err != nil {
		return err
	}
	return k.process.ready(ctx, fmt.Sprintf("127.0.0.1:%d", k.port))
}

// Kill ends the centre at once (SIGKILL).
func (k *KDC) Kill() { k.process.end(syscall.SIGKILL) }

// Stop ends the centre and removes its state.
func (k *KDC) Stop() {
	k.process.end(syscall.SIGTERM)
	_ = os.RemoveAll(k.dir)
}

// Environment is what a client's program needs to know of the centre, and
// where it keeps tickets: in the file cache, if any.
func (k *KDC) Environment(cache string) []string {
	all := []string{"KRB5_CONFIG=" + filepath.Join(k.dir, "krb5.conf"), "KRB5_KDC_PROFILE=" + filepath.Join(k.dir, "kdc.conf")}
	if cache != "" {
		all = append(all, "KRB5CCNAME=FILE:"+cache)
	}
	return all
}

// AddUser adds a principal with a password: "alice".
func (k *KDC) AddUser(ctx context.Context, name, password string) error {
	return k.admin(ctx, fmt.Sprintf("addprinc -pw %s %s", password, name))
}

// AddService adds a principal with random keys and exports them to a keytab:
// "imap/localhost". Of one that is there the keys are replaced, and those
// before stay in the keytab.
func (k *KDC) AddService(ctx context.Context, keytab, name string) error {
	if err := k.admin(ctx, "addprinc -randkey "+name); err != nil && !strings.Contains(err.Error(), "already exists") {
		return err
	}
	return k.admin(ctx, fmt.Sprintf("ktadd -k %s %s", keytab, name))
}

// LogIn gets tickets for a user and keeps them in the file cache; the further
// arguments are kinit's.
func (k *KDC) LogIn(ctx context.Context, cache, user, password string, args ...string) error {
	cmd := exec.CommandContext(ctx, "kinit", append(args, user)...)
	cmd.Env = append(os.Environ(), k.Environment(cache)...)
	cmd.Stdin = strings.NewReader(password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kinit %s: %w: %s", user, err, out)
	}
	return nil
}

// admin runs a command of kadmin.local, which does not tell by its status
// when one has failed.
func (k *KDC) admin(ctx context.Context, command string) error {
	cmd := exec.CommandContext(ctx, "kadmin.local", "-r", k.Realm, "-q", command)
	cmd.Env = append(os.Environ(), k.Environment("")...)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "kadmin.local:") || strings.Contains(string(out), ": while ") || strings.Contains(string(out), "add_principal:") {
		return fmt.Errorf("kadmin.local: %q: %w: %s", strings.Fields(command)[0], err, out)
	}
	return nil
}

func (k *KDC) run(ctx context.Context, program string, args ...string) error {
	return run(ctx, "env", append(append(k.Environment(""), program), args...)...)
}

const krb5Conf = `[libdefaults]
 default_realm = $REALM
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 qualify_shortname = ""
 rdns = false
 udp_preference_limit = 1
 permitted_enctypes = $ENCTYPES
[realms]
 $REALM = {
  kdc = 127.0.0.1:$PORT
 }
[domain_realm]
 localhost = $REALM
`

const kdcConf = `[kdcdefaults]
 kdc_listen = 127.0.0.1:$PORT
 kdc_tcp_listen = 127.0.0.1:$PORT
[realms]
 $REALM = {
  database_name = $DIR/principal
  key_stash_file = $DIR/stash
  acl_file = $DIR/acl
  max_life = 1d
  supported_enctypes = $KEYS
 }
[logging]
 kdc = FILE:$DIR/log
`
