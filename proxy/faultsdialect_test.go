package proxy_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/imap"
	"github.com/posthouse-mail/posthouse/managesieve"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/pop3"
	"github.com/posthouse-mail/posthouse/proxy"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/smtp/sender"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// dialect is how a protocol is spoken by a back end and by a client.
type dialect struct {
	name string

	// A back end's side. chatter may be said again and again for a greeting;
	// yes and no are its answers at the login, with a text for %s; the latter is
	// a temporary one.
	greeting, chatter, taken string
	busy, yes, no            string
	answers                  []answer

	// A client's side. An attempt ends with the first answer that is not good.
	hello                  []exchange
	attempt                func(user string) []exchange
	download, upload, idle *exchange
	good, success          string   // of lines: that an attempt goes on, and that something was done for who is logged in
	ping                   exchange // answered by one line
	refusal, mapDown       string   // what the attempt is answered when nothing can be done now
	serve                  func(*proxy.Front, config) server
	server                 func(config) server // that has accounts itself; nil: there is none
}

// answer is a back end's, to lines that match.
type answer struct {
	to   *regexp.Regexp
	at   stage
	says string
}

// exchange is what a client says, and which line ends the answer; empty: none
// is waited for.
type exchange struct{ say, until string }

// config is what the front ends of all protocols have.
type config struct {
	auth     auth.Authenticator
	throttle *auth.Throttle
	logger   *slog.Logger
	budget   time.Duration
}

// server is a front end of one protocol.
type server interface {
	Serve(ctx context.Context, l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

const (
	password = "secretword"
	script   = "line one\r\nline two\r\n.\r\n"
)

var octets = strconv.Itoa(len(script))

// plain is the response of PLAIN.
func plain(user string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

func anyone(netip.Addr) bool { return true }

func line(pattern string) *regexp.Regexp { return regexp.MustCompile(pattern) }

const tryLater = "Temporary failure, please try again later"

var dialects = []*dialect{imapDialect, pop3Dialect, managesieveDialect, submissionDialect, smtpDialect, lmtpDialect}

var imapDialect = &dialect{
	name:     "imap",
	greeting: "* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN] ready", chatter: "* OK more\r\n", taken: "a OK done",
	busy: "* BYE [UNAVAILABLE] too many", yes: "p1 OK [CAPABILITY IMAP4rev1] %s", no: "p1 NO [UNAVAILABLE] %s",
	answers: []answer{
		{line(`^(\S+) CAPABILITY$`), never, "* CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN\r\n$1 OK done"},
		{line(`^(\S+) STARTTLS$`), starting, "$1 OK begin"},
		{line(`^(\S+) AUTHENTICATE PLAIN .`), login, "$1 OK [CAPABILITY IMAP4rev1] welcome"},
		{line(`^(\S+) FETCH `), downloading, "* 1 FETCH (BODY[] {100}\r\nSubject: x\r\n\r\nfirst half" + strings.Repeat("x", 78) + ")\r\n$1 OK done"},
		{line(`^(\S+) APPEND .*}$`), uploading, "+ go"},
		{line(`^(\S+) IDLE$`), idling, "+ idling"},
	},
	hello:    []exchange{{"", `^\* OK `}},
	attempt:  func(user string) []exchange { return []exchange{{"a LOGIN " + user + " " + password, "^a "}} },
	download: &exchange{"a FETCH 1 BODY[]", ""}, upload: &exchange{"a APPEND INBOX {" + octets + "}", `^\+ `}, idle: &exchange{"a IDLE", `^\+ `},
	good: `^(\* OK|a OK|\+) `, success: `(?m)^a OK.*\n`, ping: exchange{"b NOOP", "^b OK "},
	refusal: `^a NO \[UNAVAILABLE\] ` + tryLater + `$`, mapDown: `^a NO \[UNAVAILABLE\] ` + tryLater + `$`,
	serve: func(f *proxy.Front, c config) server {
		return &imap.Proxy{Front: f, Auth: c.auth, Throttle: c.throttle, PlainAuth: anyone, Limits: imap.Limits{AuthFailures: 1}, Timeouts: imap.Timeouts{AuthDelay: -1}, Logger: c.logger}
	},
	server: func(c config) server {
		return &imap.Server{Store: memory.New(), Auth: c.auth, PlainAuth: anyone, Timeouts: imap.Timeouts{AuthDelay: -1}, Logger: c.logger}
	},
}

var pop3Dialect = &dialect{
	name:     "pop3",
	greeting: "+OK ready", chatter: "+OK more\r\n",
	busy: "-ERR [SYS/TEMP] too many", yes: "+OK %s", no: "-ERR [SYS/TEMP] %s",
	answers: []answer{
		{line(`^CAPA$`), never, "+OK\r\nSASL PLAIN\r\nSTLS\r\n."},
		{line(`^STLS$`), starting, "+OK begin"},
		{line(`^AUTH PLAIN .`), login, "+OK welcome"},
		{line(`^RETR `), downloading, "+OK 100 octets\r\nSubject: x\r\n\r\nfirst half" + strings.Repeat("x", 78) + "\r\n."},
		{line(`^NOOP$`), idling, "+OK"},
	},
	hello: []exchange{{"", `^\+OK `}},
	attempt: func(user string) []exchange {
		return []exchange{{"USER " + user, `^(\+OK|-ERR)`}, {"PASS " + password, `^(\+OK|-ERR)`}}
	},
	download: &exchange{"RETR 1", ""}, idle: &exchange{"NOOP", `^\+OK`},
	good: `^\+OK`, success: `(?m)^\.\r\n`, ping: exchange{"WHAT", "^-ERR Unknown command$"},
	refusal: `^-ERR \[SYS/TEMP\] ` + tryLater + `$`, mapDown: `^-ERR \[SYS/TEMP\] ` + tryLater + `$`,
	serve: func(f *proxy.Front, c config) server {
		return &pop3.Proxy{Front: f, Auth: c.auth, Throttle: c.throttle, PlainAuth: anyone, Limits: pop3.Limits{AuthFailures: 1}, Timeouts: pop3.Timeouts{AuthDelay: -1}, Logger: c.logger}
	},
	server: func(c config) server {
		return &pop3.Server{Store: memory.New(), Auth: c.auth, PlainAuth: anyone, Timeouts: pop3.Timeouts{AuthDelay: -1}, Logger: c.logger}
	},
}

var managesieveDialect = &dialect{
	name:     "managesieve",
	greeting: "\"SASL\" \"PLAIN\"\r\n\"STARTTLS\"\r\nOK \"ready\"", chatter: "\"X\" \"Y\"\r\n", taken: `OK "done"`,
	busy: `BYE (TRYLATER) "too many"`, yes: `OK "%s"`, no: `NO (TRYLATER) "%s"`,
	answers: []answer{
		{line(`^STARTTLS$`), starting, `OK "begin"`},
		{line(`^AUTHENTICATE "PLAIN" .`), login, `OK "welcome"`},
		{line(`^GETSCRIPT `), downloading, "{100}\r\nfirst half" + strings.Repeat("x", 90) + "\r\nOK"},
		{line(`^PUTSCRIPT `), uploading, ""},
		{line(`^NOOP$`), idling, "OK"},
	},
	hello: []exchange{{"", "^OK "}},
	attempt: func(user string) []exchange {
		return []exchange{{`AUTHENTICATE "PLAIN" "` + plain(user) + `"`, "^(OK|NO|BYE) "}}
	},
	download: &exchange{`GETSCRIPT "a"`, ""}, upload: &exchange{`PUTSCRIPT "a" {` + octets + "+}", ""}, idle: &exchange{"NOOP", "^OK"},
	good: "^OK", success: `(?m)^OK.*\n`, ping: exchange{"NOOP", "^OK "},
	refusal: `^NO \(TRYLATER\) "` + tryLater + `"$`, mapDown: `^NO \(TRYLATER\) "` + tryLater + `"$`,
	serve: func(f *proxy.Front, c config) server {
		return &managesieve.Proxy{Front: f, Auth: c.auth, Throttle: c.throttle, PlainAuth: anyone, Limits: managesieve.Limits{AuthFailures: 1}, Timeouts: managesieve.Timeouts{AuthDelay: -1}, Logger: c.logger}
	},
}

var submissionDialect = &dialect{
	name:     "submission",
	greeting: "220 back.example.test ready", chatter: "220-more\r\n", taken: "250 2.0.0 taken",
	busy: "421 4.3.2 too many", yes: "235 2.7.0 %s", no: "454 4.7.0 %s",
	answers: []answer{
		{line(`^EHLO `), never, "250-back.example.test\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 AUTH PLAIN"},
		{line(`^STARTTLS$`), starting, "220 begin"},
		{line(`^AUTH PLAIN .`), login, "235 2.7.0 welcome"},
		{line(`^DATA$`), uploading, "354 go"},
		{line(`^NOOP$`), idling, "250 2.0.0 OK"},
	},
	hello:   []exchange{{"", "^220 "}, {"EHLO client.example", `^250 `}},
	attempt: func(user string) []exchange { return []exchange{{"AUTH PLAIN " + plain(user), `^\d{3} `}} },
	upload:  &exchange{"DATA", "^354 "}, idle: &exchange{"NOOP", "^250 "},
	good: "^(220|250|235) ", success: `(?m)^250 .*\n`, ping: exchange{"NOOP", "^250 "},
	refusal: `^454 4\.7\.0 Authentication is not available now`, mapDown: `^454 4\.7\.0 Authentication is not available now`,
	serve: func(f *proxy.Front, c config) server {
		return &smtp.Proxy{Front: f, Auth: c.auth, Throttle: c.throttle, PlainAuth: anyone, Limits: smtp.Limits{Delay: -1, AuthFailures: 1}, Logger: c.logger}
	},
	server: func(c config) server {
		takes := smtp.HandlerFunc(func(context.Context, *smtp.Message) error { return nil })
		return &smtp.Server{Protocol: smtp.Submission, Handler: takes, Auth: c.auth, PlainAuth: anyone, Limits: smtp.Limits{Delay: -1}, Logger: c.logger}
	},
}

var smtpDialect, lmtpDialect = routing("smtp", "EHLO", smtp.ESMTP, proxy.SMTP), routing("lmtp", "LHLO", smtp.LMTP, proxy.LMTP)

// routing is a dialect in which messages are routed: nobody logs in, and a back
// end is spoken to when a message has come.
func routing(name, hello string, by smtp.Protocol, to proxy.Protocol) *dialect {
	return &dialect{
		name:     name,
		greeting: "220 back.example.test ready", chatter: "220-more\r\n", taken: "250 2.0.0 taken",
		busy: "421 4.3.2 too many", yes: "250 2.1.0 %s", no: "451 4.3.0 %s",
		answers: []answer{
			{line("^" + hello + " "), never, "250-back.example.test\r\n250-STARTTLS\r\n250 PIPELINING"},
			{line(`^STARTTLS$`), starting, "220 begin"},
			{line(`^MAIL FROM:`), login, "250 2.1.0 welcome"},
			{line(`^RCPT TO:`), never, "250 2.1.5 OK"},
			{line(`^DATA$`), uploading, "354 go"},
			{line(`^QUIT$`), never, "221 2.0.0 bye"},
		},
		hello: []exchange{{"", "^220 "}, {hello + " client.example", "^250 "}},
		attempt: func(user string) []exchange {
			return []exchange{
				{"RSET", `^\d{3} `}, {"MAIL FROM:<sender@example.net>", `^\d{3} `}, {"RCPT TO:<" + user + ">", `^\d{3} `},
				{"DATA", `^\d{3} `}, {"Subject: x\r\n\r\n" + strings.TrimSuffix(script, "\r\n"), `^\d{3} `},
			}
		},
		good: "^(220|250|354) ", success: `(?m)^250 .*\n`, ping: exchange{"NOOP", "^250 "},
		refusal: `^451 4\.[34]\.\d `, mapDown: `^451 4\.4\.3 `,
		serve: func(f *proxy.Front, c config) server {
			r := &smtp.Router{
				Front: f, Hostname: "front.example.test", Logger: c.logger,
				Speak:    func(mapping.Route) proxy.Protocol { return to },
				Timeouts: sender.Timeouts{Command: c.budget, DataEnd: c.budget, Total: c.budget},
			}
			return &smtp.Server{Protocol: by, Hostname: "front.example.test", Handler: r, Hooks: []smtp.Hooks{r.Hooks()}, Limits: smtp.Limits{Delay: -1}, Logger: c.logger}
		},
	}
}

// logsIn says that clients log in, and that it is they who talk with a back end
// then.
func (d *dialect) logsIn() bool { return d != smtpDialect && d != lmtpDialect }
