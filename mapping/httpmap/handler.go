package httpmap

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/seldom"
	"github.com/posthouse-mail/posthouse/mapping"
)

// HandlerOptions say what a Handler answers with, and to whom. With neither
// Key nor Trusted nobody may ask; with both, both must fit.
type HandlerOptions struct {
	Mapper mapping.Mapper     // required
	Auth   auth.Authenticator // checks passwords; nil: nobody does here, the back ends do

	Key     string                           `json:"-"` // what X-Auth-Key must hold: "auth_http_header X-Auth-Key …;" of nginx
	Trusted func(asker netip.Addr) (ok bool) // addresses that may ask

	Ports    map[string]int // of back ends whose route has none, by "imap", "pop3" and "smtp"; default 143, 110 and 25
	Resolver Resolver       // of hosts that are names; nil: net.DefaultResolver
	Timeout  time.Duration  // of an answer; default 20 seconds
	Logger   *slog.Logger   // nil: slog.Default
}

// Resolver finds the addresses of a host. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Handler answers nginx's mail proxy, and every Client. It serves the methods
// "plain" and "none":
//
//   - plain: the password is checked, if there is an Authenticator, and then
//     the user is mapped, by the name of his account. Without one, a user who
//     is not mapped gets the answer that a wrong password has.
//   - none: nobody logs in. With Auth-SMTP-To, the command of a client of
//     nginx's "smtp_auth none", the recipient is mapped; otherwise Auth-User.
//
// The others, which need the password in clear text, are refused for good.
//
// nginx wants an address, so a host that is a name is resolved; and it can't
// speak TLS to back ends, so that a route that requires TLS is a temporary
// failure, told in the log, and never a connection without it.
type Handler struct {
	o   HandlerOptions
	log *seldom.Logger
}

var _ http.Handler = (*Handler)(nil)

// NewHandler returns a Handler.
func NewHandler(o HandlerOptions) *Handler {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Handler{o: o, log: seldom.New(o.Logger, 0)}
}

// ServeHTTP answers a question. Who may not ask gets 403, a malformed question
// 400: no answer, which nginx takes for a temporary failure.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.o.Timeout)
	defer cancel()
	if !h.mayAsk(r) {
		h.log.Warn(ctx, "asker", "somebody asks for users who may not", "remote", r.RemoteAddr)
		http.Error(w, "not for you", http.StatusForbidden)
		return
	}
	q, err := readQuestion(r)
	if err != nil {
		h.log.Warn(ctx, "question", "malformed question about a user", "remote", r.RemoteAddr, "err", err)
		http.Error(w, "malformed question", http.StatusBadRequest)
		return
	}
	fields, err := h.answer(ctx, q)
	if err != nil {
		h.tell(ctx, q, err)
		fields = q.refusal(err)
	}
	for name, value := range fields {
		w.Header()[name] = []string{value}
	}
	w.WriteHeader(http.StatusOK)
}

// tell logs why somebody was refused; of those whom nobody knows, nothing.
func (h *Handler) tell(ctx context.Context, q *question, err error) {
	switch {
	case wrong(err) || errors.Is(err, auth.ErrTooMany):
		// Tools such as fail2ban look for this line, the same as in smtp and imap.
		h.o.Logger.LogAttrs(ctx, slog.LevelWarn, "authentication failed",
			slog.String("service", q.credentials().Service), slog.String("remote", q.client.String()),
			slog.String("user", q.user), slog.String("reason", err.Error()))
	case q.refusalFor(err) == refusedNow || q.refusalFor(err) == deferredUser:
		h.log.Warn(ctx, err.Error(), "user can't be routed", "user", q.user, "err", err)
	}
}

func (h *Handler) mayAsk(r *http.Request) bool {
	if h.o.Key == "" && h.o.Trusted == nil {
		return false
	}
	key, err := single(r.Header, fieldKey)
	if err != nil || h.o.Key != "" && subtle.ConstantTimeCompare([]byte(key), []byte(h.o.Key)) != 1 {
		return false
	}
	if h.o.Trusted == nil {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && h.o.Trusted(from.Addr().Unmap())
}

// answer finds out where a user lives. The error says why not.
func (h *Handler) answer(ctx context.Context, q *question) (map[string]string, error) {
	user := q.user
	switch q.method {
	case methodNone:
	case methodPlain:
		if h.o.Auth == nil {
			break
		}
		if q.password == "" {
			return nil, auth.ErrBadCredentials
		}
		id, err := h.o.Auth.Authenticate(ctx, q.credentials())
		if err != nil {
			return nil, err
		}
		user = id.User
	default:
		return nil, errMethod
	}
	route, err := h.o.Mapper.Map(ctx, user)
	if err != nil {
		return nil, err
	}
	return h.leads(ctx, q, route)
}

// leads returns the answer for a route.
func (h *Handler) leads(ctx context.Context, q *question, r mapping.Route) (map[string]string, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if r.TLS == mapping.TLSStart || r.TLS == mapping.TLSImplicit {
		return nil, fmt.Errorf("%w: %s requires TLS, which the asker does not have", mapping.ErrUnavailable, r.Host)
	}
	address, err := h.resolve(ctx, r.Host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", mapping.ErrUnavailable, err)
	}
	port := r.Port
	if port == 0 {
		port = h.o.Ports[q.protocol]
	}
	if port == 0 {
		port = map[string]int{"imap": 143, "pop3": 110, "smtp": 25}[q.protocol]
	}
	fields := map[string]string{fieldStatus: "OK", fieldServer: address.String(), fieldPort: strconv.Itoa(port)}
	if r.User != "" {
		fields[fieldUser] = r.User
	}
	return fields, nil
}

var errNoAddress = errors.New("host has no address")

// resolve returns the first address of a host, one of IPv4 if there is one.
func (h *Handler) resolve(ctx context.Context, host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return a, fmt.Errorf("%w without a zone: %q", errNoAddress, host)
		}
		return a.Unmap(), nil
	}
	all, err := h.o.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range all {
		if a.Unmap().Is4() {
			return a.Unmap(), nil
		}
	}
	if len(all) == 0 {
		return netip.Addr{}, fmt.Errorf("%w: %q", errNoAddress, host)
	}
	return all[0].WithZone(""), nil
}
