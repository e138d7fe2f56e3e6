# Everything a user needs is `go run ./examples/fullnode` and `go test ./...`.
# These targets are for who works on Posthouse itself.

.PHONY: test check bench bench-imap bench-proxy relay stress fuzz

test: ## what every change must pass
	go vet ./... && go tool staticcheck ./... && go test ./...

check: ## the same with the race detector
	go test -race ./...

bench: ## the whole node beside Postfix and Dovecot, one run, ratios
	go run ./bench

bench-imap: ## work with mailboxes over IMAP beside Dovecot, one run, ratios and goals
	go run ./bench imap -million 1000000

bench-proxy: ## front ends beside nginx, Dovecot's proxy and HAProxy, one run, ratios and goals
	go run ./bench proxy

relay: ## 1 GB both ways at once through the proxies' relay, octet by octet
	POSTHOUSE_RELAY=1073741824 go test -count=1 -timeout 30m -run '^TestP29' ./internal/splice

stress: ## the long versions of the durability tests, 10,000 connections, and half an hour of 50 IMAP sessions
	POSTHOUSE_CUTS=10000 POSTHOUSE_ROT=10000 POSTHOUSE_KILLS=50 POSTHOUSE_CONNECTIONS=10000 POSTHOUSE_STRESS=30m go test -timeout 60m ./internal/engine/... ./storage/... ./queue/... ./imap ./examples/fullnode/...

FUZZTIME ?= 5m
fuzz: ## every fuzz target, FUZZTIME each
	@go list ./... | while read p; do \
	  go test -list '^Fuzz' $$p | grep '^Fuzz' | while read f; do \
	    echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done
