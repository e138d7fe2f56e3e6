package main

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/posthouse-mail/posthouse/smtp"
)

// metrics counts what the node does, for GET /metrics.
type metrics struct {
	registry    *prometheus.Registry
	connections *prometheus.CounterVec
	messages    *prometheus.CounterVec
	octets      *prometheus.CounterVec
}

// newMetrics makes the counters. Those of the message log are read from the
// store when somebody asks.
func newMetrics(o *opened) *metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "posthouse", Name: name, Help: help}, []string{"protocol"})
	}
	fromLog := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "posthouse", Name: name, Help: help}, value)
	}
	log := o.store.Engine()
	m := &metrics{
		registry:    prometheus.NewRegistry(),
		connections: counter("smtp_connections_total", "SMTP, submission and LMTP connections that were served."),
		messages:    counter("smtp_messages_total", "Messages received, before they were handled."),
		octets:      counter("smtp_octets_total", "Octets of those messages."),
	}
	m.registry.MustRegister(
		m.connections, m.messages, m.octets,
		fromLog("log_syncs_total", "Syncs of the message log.", func() float64 { return float64(log.Stats().Syncs) }),
		fromLog("log_changes_total", "Changes made durable by them.", func() float64 { return float64(log.Stats().Changes) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// smtpHooks count; they refuse nothing.
func (m *metrics) smtpHooks() smtp.Hooks {
	return smtp.Hooks{
		Connect: func(_ context.Context, s *smtp.Session) error {
			m.connections.WithLabelValues(s.Protocol.String()).Inc()
			return nil
		},
		Data: func(_ context.Context, msg *smtp.Message) error {
			protocol := msg.Session.Protocol.String()
			m.messages.WithLabelValues(protocol).Inc()
			m.octets.WithLabelValues(protocol).Add(float64(msg.Body.Size()))
			return nil
		},
	}
}

// handler answers with the counters of this moment.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
