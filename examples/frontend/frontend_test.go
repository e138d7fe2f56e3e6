package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/examples/internal/config"
)

// one is a configuration with POP3 alone, and a map.
func one(mapFile, more string) string {
	return fmt.Sprintf(`control = "127.0.0.1:0"
[map.users]
sources = ["file:%s"]
[[service]]
protocol = "pop3"
map = "users"
listen = ["127.0.0.1:0"]
%s
`, mapFile, more)
}

func TestR345AFileMapStandsForADirectory(t *testing.T) {
	first, second := startBackEnd(t, "first", "alice@example.test", "bob@example.test"), startBackEnd(t, "second", "alice@example.test", "bob@example.test")
	users := writeFile(t, "users.map", "alice@example.test "+first.route()+"\nbob@example.test "+second.route()+"\n")
	f := startFrontEnd(t, one(users, ""))
	_, text := readPOP3(t, f.address("POP3", 0), "alice@example.test", "pw")
	require.Contains(t, text, "kept at first")
	_, text = readPOP3(t, f.address("POP3", 0), "bob@example.test", "pw")
	require.Contains(t, text, "kept at second")
	login, _ := readPOP3(t, f.address("POP3", 0), "bob@example.test", "wrong")
	require.Contains(t, login, "-ERR [AUTH]")
	login, _ = readPOP3(t, f.address("POP3", 0), "nobody@example.test", "pw")
	require.Contains(t, login, "-ERR [AUTH]")

	require.NoError(t, os.WriteFile(users, []byte("bob@example.test "+first.route()+"\n"), 0o600))
	require.Eventually(t, func() bool {
		_, text := readPOP3(t, f.address("POP3", 0), "bob@example.test", "pw")
		return strings.Contains(text, "kept at first")
	}, waitLong, waitTick, "the map is read again when it has changed")
}

func TestR345TwoMapsOnTwoListeners(t *testing.T) {
	staff, students := startBackEnd(t, "staff", "alice@example.test"), startBackEnd(t, "students", "alice@example.test")
	f := startFrontEnd(t, fmt.Sprintf(`control = ""
[map.staff]
sources = ["static:%s"]
[map.students]
sources = ["file:%s"]
[[service]]
protocol = "pop3"
map = "staff"
listen = ["127.0.0.1:0"]
[[service]]
protocol = "pop3"
map = "students"
listen = ["127.0.0.1:0"]
`, staff.route(), writeFile(t, "students.map", "alice@example.test "+students.route()+"\n")))
	_, text := readPOP3(t, f.address("POP3", 0), "alice@example.test", "pw")
	require.Contains(t, text, "kept at staff")
	_, text = readPOP3(t, f.address("POP3", 1), "alice@example.test", "pw")
	require.Contains(t, text, "kept at students")
}

// TestR345FrontEndAndBackEndInOneProcess is what all tests here do: both run in
// this one, at different ports. A front end whose map leads to itself says so
// instead of connecting to itself for ever.
func TestR345FrontEndAndBackEndInOneProcess(t *testing.T) {
	b := startBackEnd(t, "the same process", "alice@example.test")
	f := startFrontEnd(t, fmt.Sprintf("control = \"\"\ndefault_route = \"127.0.0.1,tls=none\"\n[[service]]\nprotocol = \"pop3\"\nlisten = [\"127.0.0.1:0\"]\nbackend_port = %d\n", b.port))
	_, text := readPOP3(t, f.address("POP3", 0), "alice@example.test", "pw")
	require.Contains(t, text, "kept at the same process")

	users := writeFile(t, "users.map", "")
	itself := startFrontEnd(t, one(users, ""))
	require.NoError(t, os.WriteFile(users, []byte("alice@example.test "+itself.address("POP3", 0)+",tls=none\n"), 0o600))
	require.Eventually(t, func() bool {
		login, _ := readPOP3(t, itself.address("POP3", 0), "alice@example.test", "pw")
		return strings.Contains(login, "[SYS/TEMP]")
	}, waitLong, waitTick)
}

func TestP16AWrongPasswordNeverReachesABackEndWhereTheFrontEndChecks(t *testing.T) {
	b := startBackEnd(t, "back end", "alice@example.test")
	users := writeFile(t, "users.map", "alice@example.test "+b.route()+"\n")
	hash, err := auth.HashPassword("pw")
	require.NoError(t, err)
	passwords := writeFile(t, "passwords", "alice@example.test:"+hash+"\n")
	f := startFrontEnd(t, one(users, fmt.Sprintf("auth = [\"file:%s\"]", passwords)))
	login, _ := readPOP3(t, f.address("POP3", 0), "alice@example.test", "wrong")
	require.Contains(t, login, "-ERR [AUTH]")
	require.Zero(t, b.asked.Load())
	_, text := readPOP3(t, f.address("POP3", 0), "alice@example.test", "pw")
	require.Contains(t, text, "kept at back end")
	require.NotZero(t, b.asked.Load())
}

func TestR3414AFrontEndThatIsReplacedHasNothingThatIsMissed(t *testing.T) {
	b := startBackEnd(t, "back end", "alice@example.test")
	users := writeFile(t, "users.map", "alice@example.test "+b.route()+"\n")
	for range 2 { // each with a new, empty state
		f := startFrontEnd(t, one(users, ""))
		_, text := readPOP3(t, f.address("POP3", 0), "alice@example.test", "pw")
		require.Contains(t, text, "kept at back end")
		f.stop()
	}
}

func TestP43TheControlInterfaceTellsOfHealthAndSessionsAndIsForThisMachineAlone(t *testing.T) {
	b := startBackEnd(t, "back end", "alice@example.test")
	f := startFrontEnd(t, one(writeFile(t, "users.map", "alice@example.test "+b.route()+"\n"), ""))
	_, _ = readPOP3(t, f.address("POP3", 0), "alice@example.test", "pw")
	control := "http://" + f.address("control", 0)
	require.Contains(t, ask(t, http.MethodGet, control+"/ping", "", ""), "PONG")
	require.Contains(t, ask(t, http.MethodGet, control+"/map/users/health", "", ""), fmt.Sprintf(`"127.0.0.1:%d","state":"up"`, b.port))
	require.Contains(t, ask(t, http.MethodPost, control+"/kick", `{"user": "Alice@Example.test"}`, ""), `"sessions"`)
	require.Contains(t, ask(t, http.MethodPost, control+"/kick", `{"all": true}`, "http://evil.test"), "cross-origin")
	require.Equal(t, "{}\n", ask(t, http.MethodPost, control+"/drain", "", ""), "it is answered when all sessions have ended")
	f.stop()
	_, err := loadConfig(writeFile(t, "c.toml", "control = \"0.0.0.0:1081\"\ndefault_route = \"x.test\"\n"), "")
	require.ErrorContains(t, err, "loopback")
}

// ask sends a request, as a web page of an origin when there is one.
func ask(t *testing.T, method, url, body, origin string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	answer, err := (&http.Client{Timeout: waitLong}).Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

func TestR34AConfigurationThatCantWorkSaysWhy(t *testing.T) {
	const service = "[[service]]\nprotocol = \"imap\"\nlisten = [\"127.0.0.1:0\"]\n"
	for name, c := range map[string]struct{ text, says string }{
		"no map":        {service, "nobody says where users live"},
		"protocol":      {"[[service]]\nprotocol = \"gopher\"\n", "no such protocol"},
		"nowhere":       {"default_route = \"x.test\"\n[[service]]\nprotocol = \"imap\"\n", "listens nowhere"},
		"unknown key":   {"colour = 1\n", `unknown key "colour"`},
		"speak":         {"default_route = \"x.test\"\n" + service + "speak = \"uucp\"\n", "uucp"},
		"half of TLS":   {"default_route = \"x.test\"\n[tls]\nkey = \"x\"\n", "tls.certificate"},
		"syntax":        {"x = \n", "line 1"},
		"rule":          {"default_route = \"x.test\"\n" + service + "[[service.rule]]\naddresses = \"10.0.0.1\"\naction = \"maybe\"\n", "maybe"},
		"proxy mode":    {"default_route = \"x.test\"\n" + service + "proxy_protocol = \"v2\"\n", "proxy_protocol is \"v2\""},
		"no proxies":    {"default_route = \"x.test\"\n" + service + "proxy_protocol = \"required\"\n", "proxy_protocol needs proxy_networks"},
		"proxies alone": {"default_route = \"x.test\"\n" + service + "proxy_networks = [\"10.0.0.1\"]\n", "proxy_networks need proxy_protocol"},
		"bad proxies":   {"default_route = \"x.test\"\n" + service + "proxy_protocol = \"optional\"\nproxy_networks = [\"10.0.0.0/33\"]\n", "proxy_networks: "},
		"plain secrets": {"plaintext_auth = \"always\"\n", "plaintext_auth"},
	} {
		_, err := loadConfig(writeFile(t, "c.toml", c.text), "")
		require.ErrorContains(t, err, c.says, name)
	}
	for name, text := range map[string]string{
		"map":    "[[service]]\nprotocol = \"imap\"\nlisten = [\"127.0.0.1:0\"]\nmap = \"nowhere\"\n",
		"source": "[map.x]\nsources = [\"carrier-pigeon:y\"]\n" + service,
		"tell":   "[backend]\ntell = [\"everything\"]\n" + service,
		"pin":    "[backend]\npins = [\"abc\"]\n" + service,
		"auth":   service + "auth = [\"ldap:none\"]\n",
		"file":   "[map.x]\nsources = [\"file:/nowhere/users.map\"]\n" + service,
	} {
		text = fmt.Sprintf("state = %q\ncontrol = \"\"\ndefault_route = \"x.test\"\n", t.TempDir()) + text
		require.Error(t, run(t.Context(), []string{"-config", writeFile(t, "c.toml", text)}, io.Discard), name)
	}
}

func TestTheConfigurationThatIsPrintedIsReadAgainAndShowsNoSecrets(t *testing.T) {
	var out strings.Builder
	file := writeFile(t, "c.toml", "default_route = \"x.test\"\ndrain = \"7s\"\n[ldap.main]\nuris = [\"ldap://x.test\"]\nbase = \"dc=x\"\nbind_password = \"topsecret\"\n"+
		"[[service]]\nprotocol = \"imap\"\nlisten = [\"127.0.0.1:0\"]\nproxy_protocol = \"required\"\nproxy_networks = [\"10.0.0.1\", \"10.1.0.0/16\"]\n")
	require.NoError(t, run(t.Context(), []string{"-config", file, "config"}, &out))
	require.NotContains(t, out.String(), "topsecret")
	c, err := loadConfig(writeFile(t, "again.toml", out.String()), "")
	require.NoError(t, err)
	require.Equal(t, 7*time.Second, time.Duration(c.Drain))
	require.Len(t, c.Services, 1)
	require.Equal(t, config.ProxyProtocol{Mode: "required", Networks: []string{"10.0.0.1", "10.1.0.0/16"}}, c.Services[0].ProxyProtocol)
}
