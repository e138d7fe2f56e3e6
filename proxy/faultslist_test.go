package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// fault is something that goes wrong behind a front end.
type fault struct {
	name     string
	at       stage                 // of the broken back end
	variants []variant             // all are tried
	short    bool                  // only the end of the budget ends it
	in       bool                  // at the login: the client is let in before
	blame    string                // whom the log names; empty: the back end
	refusal  func(*dialect) string // what the client is answered; nil: as for all faults
	without  map[string]string     // protocols that can't have it, and why
}

// variant is one way in which a fault comes about.
type variant struct {
	act     act
	lead    func(broken mapping.Route) (mapping.Route, error) // of the map; nil: to the broken back end
	auth    error                                             // of the front end's own Authenticator; nil: there is none
	backend proxy.Backend                                     // how it is reached
	loses   bool                                              // what a back end said last may be lost
}

// late says that the client has been let in before, where clients log in.
func (f *fault) late() bool { return f.at > login || f.in }

// budget is Backend.Connect: short where nothing else ends an attempt.
func (f *fault) budget() time.Duration {
	if f.short {
		return 400 * time.Millisecond
	}
	return patience
}

func acts(all ...act) (variants []variant) {
	for _, a := range all {
		variants = append(variants, variant{act: a})
	}
	return variants
}

// ends are the two ways in which a back end is killed.
func ends(how func(act) act) []variant {
	return []variant{{act: how(killed)}, {act: how(brokenOff), loses: true}}
}

func atOnce(a act) act { return a }

// secured is acts for a back end that must be spoken to over TLS.
func secured(all ...act) (variants []variant) {
	for _, a := range all {
		variants = append(variants, variant{act: a, backend: proxy.Backend{TLS: mapping.TLSStart}})
	}
	return variants
}

func leads(to mapping.Route, err error) variant {
	return variant{act: killed, lead: func(mapping.Route) (mapping.Route, error) { return to, err }}
}

var (
	noUpload   = map[string]string{"pop3": "a client of POP3 uploads nothing"}
	noDownload = map[string]string{"submission": "no message comes from a back end", "smtp": "no message comes from a back end", "lmtp": "no message comes from a back end"}
	noIdling   = map[string]string{"smtp": "no back end is connected to before a message has come", "lmtp": "no back end is connected to before a message has come"}
	noLogin    = map[string]string{"smtp": "nobody logs in", "lmtp": "nobody logs in"}
)

var faults = []*fault{
	{name: "refused", at: connecting, variants: []variant{{act: killed, lead: nobodyListens}}, blame: "connection refused"},
	{name: "silent", at: connecting, variants: acts(silent), short: true},
	{name: "wrong_protocol", at: greeting, variants: acts(
		instead(func(*dialect) string { return "HTTP/1.1 400 " + http.StatusText(400) + "\r\nConnection: close\r\n\r\n" }),
		instead(func(*dialect) string { return "SSH-2.0-OpenSSH_9.9\r\n" }),
		instead(func(*dialect) string { return "\x15\x03\x01\x00\x02\x02\x46\n" }),
		instead(neighbour),
	)},
	{name: "endless_banner_line", at: greeting, variants: acts(withoutEnd(func(*dialect) string { return strings.Repeat("x", 4096) }, 0))},
	{name: "endless_banner", at: greeting, variants: acts(instead(func(d *dialect) string { return strings.Repeat(d.chatter, megabyte/len(d.chatter)) }))},
	{name: "dripping_banner", at: greeting, variants: acts(drips), short: true},
	{name: "killed_in_greeting", at: greeting, variants: ends(halfThen)},
	{name: "killed_before_greeting", at: connecting, variants: ends(atOnce)},
	{name: "busy_in_greeting", at: greeting, variants: acts(instead(func(d *dialect) string { return d.busy + "\r\n" }))},
	{name: "killed_after_login_command", at: login, variants: ends(atOnce)},
	{name: "silent_after_login_command", at: login, variants: acts(silent), short: true},
	{name: "killed_in_login_answer", at: login, variants: ends(halfThen)},
	{name: "killed_after_login_answer", at: login, in: true, variants: ends(afterIt)},
	{name: "temporary_refusal", at: login, variants: acts(refusing(answering("%no", "later")))},
	{name: "login_answer_of_1MB", at: login, variants: acts(
		refusing(answering("%yes", strings.Repeat("x", megabyte))), refusing(answering("%no", strings.Repeat("x", megabyte))))},
	{name: "login_answer_with_tricks", at: login, variants: acts(
		refusing(answering("%no", "a\r%yes\r\n")), refusing(answering("%no", "a\n%yes\r\n")),
		refusing(answering("%no", "a\r\n%yes\r\n")), refusing(answering("%no", "a\x00%yes\x00")),
	)},
	{name: "closed_in_literal", at: downloading, variants: ends(halfThen), without: noDownload},
	{name: "closed_while_uploading", at: uploading, variants: ends(amidUpload), without: noUpload},
	{name: "closed_after_uploading", at: uploaded, variants: ends(atOnce), without: noUpload},
	{name: "closed_in_last_answer", at: uploaded, variants: ends(halfThen), without: noUpload},
	{name: "closed_while_idle", at: idling, variants: ends(afterIt), without: noIdling},
	{name: "wrong_certificate", at: never, variants: []variant{
		{backend: proxy.Backend{TLS: mapping.TLSStart, TLSConfig: &tls.Config{RootCAs: x509.NewCertPool()}}},
		{backend: proxy.Backend{TLS: mapping.TLSStart, TLSConfig: &tls.Config{RootCAs: testcert.Client().RootCAs, ServerName: "other.example.test"}}},
		{backend: proxy.Backend{TLS: mapping.TLSStart, Pins: make([][32]byte, 1)}},
	}},
	{name: "starttls_refused", at: starting, variants: secured(instead(answering("%no", "not now")))},
	{name: "starttls_not_offered", at: greeting, variants: secured(inClearOnly)},
	{name: "starttls_injected", at: starting, variants: secured(injected)},
	{name: "starttls_garbage", at: starting, variants: secured(afterIt(killed), afterIt(brokenOff), garbage)},
	{name: "silent_in_handshake", at: starting, variants: secured(afterIt(silent)), short: true},
	{name: "tls_answered_in_clear", at: never, variants: []variant{{backend: proxy.Backend{TLS: mapping.TLSImplicit}}}},
	{name: "map_down", variants: []variant{
		leads(mapping.Route{}, fmt.Errorf("%w: the directory", mapping.ErrUnavailable)), leads(mapping.Route{}, fmt.Errorf("the directory: unforeseen")),
	}, blame: "the directory", refusal: func(d *dialect) string { return d.mapDown }},
	{name: "map_leads_nowhere", variants: []variant{
		leads(mapping.Route{Host: "nowhere.invalid", TLS: mapping.TLSNone}, nil),
	}, short: true, blame: "nowhere.invalid"},
	{name: "map_leads_to_no_host", variants: []variant{
		leads(mapping.Route{}, nil), leads(mapping.Route{Host: "127.0.0.1", Port: 99999}, nil), leads(mapping.Route{Host: "a b,c"}, nil),
	}, blame: "bad route"},
	{name: "directory_down", variants: []variant{{auth: fmt.Errorf("%w: the directory", auth.ErrUnavailable)}, {auth: fmt.Errorf("the directory: unforeseen")}},
		blame: "the directory", without: noLogin},
}

// nobodyListens leads to a port of the broken back end's host that is reserved.
func nobodyListens(broken mapping.Route) (mapping.Route, error) {
	broken.Port = 1
	return broken, nil
}

// neighbour is the banner of another mail protocol.
func neighbour(d *dialect) string {
	if d == imapDialect {
		return pop3Dialect.greeting + "\r\n"
	}
	return imapDialect.greeting + "\r\n"
}

// drips says lines that are never late, for longer than a login may take.
func drips(p *peer, _ string) {
	withoutEnd(func(d *dialect) string { return d.chatter }, 20*time.Millisecond)(p, "")
}

// answering is an answer with a text: %yes and %no are those of a back end to a
// login.
func answering(which, text string) func(d *dialect) string {
	return func(d *dialect) string {
		says := strings.NewReplacer("%yes", d.yes, "%no", d.no).Replace(which)
		return fmt.Sprintf(says, strings.ReplaceAll(text, "%yes", fmt.Sprintf(d.yes, "in"))) + "\r\n"
	}
}
