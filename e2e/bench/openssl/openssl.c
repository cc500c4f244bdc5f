/*
 * DTLS 1.2 of OpenSSL for the bench: a process that says its version, does what it
 * is told on its standard input, a line each, and answers with what that cost.
 *
 *   records SIZE MS         -> cost NS floor NS
 *   handshakes resumed|full MS -> cost NS
 *   idle PAIRS              -> heap BYTES clientheap BYTES
 *   datagrams SIZE MS       -> cost NS receiver NS
 *
 * The rules are those of the peers in Go: ECDSA P-256, X25519, AES-128-GCM, no
 * client certificate, nobody verifies, tickets only to resume by. One thread.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
	fprintf(stderr, "openssl: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static double seconds(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* CPU time of this process in ns, user and system. */
static double cpu(void) {
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e9 + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e3;
}

/* What one operation cost that step does in_step of, repeated for ms. */
static double measure(double ms, void (*step)(void), int in_step) {
	double began = seconds(), used = cpu(), operations = 0;
	do {
		step();
		operations += in_step;
	} while (seconds() - began < ms / 1e3);
	return (cpu() - used) / operations;
}

/* --- Datagrams in memory, or through a socket */

enum { queue_length = 64, largest = 17 << 10 };

struct queue {
	char *datagram[queue_length];
	int size[queue_length];
	unsigned first, end; /* counts that only grow */
};

/* One end: two queues, or a connected socket. */
struct end {
	struct queue *in, *out;
	int socket;
};

static int end_write(BIO *b, const char *data, int n) {
	struct end *e = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	if (e->socket >= 0) {
		int sent = send(e->socket, data, n, 0);
		return sent < 0 && (errno == ECONNREFUSED || errno == ENOBUFS) ? n : sent; /* lost */
	}
	struct queue *q = e->out;
	if (q->end - q->first == queue_length || n > largest)
		return n; /* lost */
	unsigned i = q->end++ % queue_length;
	if (!q->datagram[i])
		q->datagram[i] = malloc(largest);
	memcpy(q->datagram[i], data, n);
	q->size[i] = n;
	return n;
}

static int end_read(BIO *b, char *data, int n) {
	struct end *e = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	if (e->socket >= 0) {
		int got = recv(e->socket, data, n, 0);
		if (got < 0 && (errno == EAGAIN || errno == ECONNREFUSED))
			BIO_set_retry_read(b);
		return got;
	}
	struct queue *q = e->in;
	if (q->first == q->end) {
		BIO_set_retry_read(b);
		return -1;
	}
	unsigned i = q->first++ % queue_length;
	int size = q->size[i] < n ? q->size[i] : n;
	memcpy(data, q->datagram[i], size);
	return size;
}

static long end_control(BIO *b, int command, long number, void *p) {
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_MTU:
		return 1400;
	case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
		return 28;
	}
	return 0;
}

static BIO *new_end(struct queue *in, struct queue *out, int socket) {
	static BIO_METHOD *method;
	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bench");
		BIO_meth_set_write(method, end_write);
		BIO_meth_set_read(method, end_read);
		BIO_meth_set_ctrl(method, end_control);
	}
	BIO *b = BIO_new(method);
	struct end *e = malloc(sizeof *e);
	*e = (struct end){in, out, socket};
	BIO_set_data(b, e);
	BIO_set_init(b, 1);
	return b;
}

/* --- Connections */

static EVP_PKEY *key;
static X509 *certificate;

static void make_certificate(void) {
	key = EVP_EC_gen("P-256");
	certificate = X509_new();
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 864000);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)"bench.example", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	if (!X509_sign(certificate, key, EVP_sha256()))
		die("certificate");
}

static SSL_CTX *new_context(void) {
	SSL_CTX *c = SSL_CTX_new(DTLS_method());
	if (!c || !SSL_CTX_set_min_proto_version(c, DTLS1_2_VERSION) || !SSL_CTX_set_max_proto_version(c, DTLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(c, "ECDHE-ECDSA-AES128-GCM-SHA256") ||
	    !SSL_CTX_set1_groups_list(c, "X25519:P-256")) /* the latter is the certificate's curve */
		die("context");
	SSL_CTX_set_options(c, SSL_OP_NO_QUERY_MTU);
	SSL_CTX_set_verify(c, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	return c;
}

/* The contexts and the session of full handshakes, or of those that resume. */
struct setting {
	int resumes;
	SSL_CTX *client, *server;
	SSL_SESSION *session;
} settings[2];

static int keep_session(SSL *s, SSL_SESSION *session) {
	struct setting *kept = SSL_CTX_get_app_data(SSL_get_SSL_CTX(s));
	SSL_SESSION_free(kept->session);
	kept->session = session;
	return 1;
}

static void set_up(struct setting *s, int resumes) {
	s->resumes = resumes;
	s->client = new_context();
	s->server = new_context();
	if (!SSL_CTX_use_certificate(s->server, certificate) || !SSL_CTX_use_PrivateKey(s->server, key))
		die("certificate");
	if (resumes) {
		SSL_CTX_set_app_data(s->client, s);
		SSL_CTX_set_session_cache_mode(s->client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
		SSL_CTX_sess_set_new_cb(s->client, keep_session);
	} else {
		SSL_CTX_set_options(s->server, SSL_OP_NO_TICKET);
	}
}

static SSL *new_client(struct setting *setting) {
	SSL *s = SSL_new(setting->client);
	SSL_set_connect_state(s);
	SSL_set_tlsext_host_name(s, "bench.example");
	if (setting->session)
		SSL_set_session(s, setting->session);
	SSL_set_mtu(s, 1400);
	return s;
}

static SSL *new_server(struct setting *setting) {
	SSL *s = SSL_new(setting->server);
	SSL_set_accept_state(s);
	SSL_set_mtu(s, 1400);
	return s;
}

/* Whether s has completed its handshake. */
static int advance(SSL *s) {
	int result = SSL_do_handshake(s);
	if (result != 1 && SSL_get_error(s, result) != SSL_ERROR_WANT_READ)
		die("handshake");
	return result == 1;
}

static char data[largest], buffer[largest];

static void move(SSL *from, SSL *to, int size) {
	if (SSL_write(from, data, size) != size || SSL_read(to, buffer, sizeof buffer) != size)
		die("data");
}

struct pair {
	SSL *client, *server;
	struct queue *in, *out;
};

static struct pair new_pair(struct setting *setting) {
	struct pair p = {new_client(setting), new_server(setting), calloc(1, sizeof *p.in), calloc(1, sizeof *p.out)};
	BIO *client = new_end(p.in, p.out, -1), *server = new_end(p.out, p.in, -1);
	SSL_set_bio(p.client, client, client);
	SSL_set_bio(p.server, server, server);
	return p;
}

static void connect_pair(struct pair *p) {
	for (int tries = 0, client = 0, server = 0; !client || !server; tries++) {
		client = client || advance(p->client);
		server = server || advance(p->server);
		if (tries > 20)
			die("the handshake does not end");
	}
	move(p->client, p->server, 1);
	move(p->server, p->client, 1);
}

static void free_queue(struct queue *q) {
	for (int i = 0; i < queue_length; i++) {
		free(q->datagram[i]);
		q->datagram[i] = NULL;
	}
}

static void free_side(SSL *s) {
	free(BIO_get_data(SSL_get_rbio(s)));
	SSL_free(s);
}

static void close_pair(struct pair *p) {
	SSL_shutdown(p->client);
	SSL_read(p->server, buffer, sizeof buffer); /* the client's goodbye */
	SSL_shutdown(p->server);
	ERR_clear_error();
	free_side(p->client);
	free_side(p->server);
	free_queue(p->in);
	free_queue(p->out);
	free(p->in);
	free(p->out);
}

/* --- What is measured */

static struct setting *setting;

static void live(void) {
	struct pair p = new_pair(setting);
	connect_pair(&p);
	close_pair(&p);
}

static void handshakes(const char *kind, double ms) {
	setting = &settings[!strcmp(kind, "resumed")];
	live(); /* the first resumes nothing */
	struct pair p = new_pair(setting);
	connect_pair(&p);
	if (SSL_session_reused(p.client) != setting->resumes)
		die("a session was resumed, or not, against expectation");
	close_pair(&p);
	printf("cost %f\n", measure(ms, live, 1));
}

enum { in_flight = 16 };

static struct pair established;
static int size;

static void exchange(void) {
	for (int i = 0; i < in_flight; i++)
		if (SSL_write(established.client, data, size) != size)
			die("write");
	for (int i = 0; i < in_flight; i++)
		if (SSL_read(established.server, buffer, sizeof buffer) != size)
			die("read");
}

/* The bare AEAD: sealed and opened, in buffers that stay. */
static void seal_and_open(void) {
	static EVP_CIPHER_CTX *seal, *open;
	static uint64_t number;
	unsigned char secret[16] = {0}, nonce[12] = {0}, additional[13] = {0}, tag[16];
	if (!seal) {
		seal = EVP_CIPHER_CTX_new();
		open = EVP_CIPHER_CTX_new();
		EVP_EncryptInit_ex(seal, EVP_aes_128_gcm(), NULL, secret, nonce);
		EVP_DecryptInit_ex(open, EVP_aes_128_gcm(), NULL, secret, nonce);
	}
	for (int i = 0, n; i < in_flight; i++) {
		number++;
		memcpy(nonce + 4, &number, sizeof number);
		unsigned char *in = (unsigned char *)data, *out = (unsigned char *)buffer;
		EVP_EncryptInit_ex(seal, NULL, NULL, NULL, nonce);
		EVP_EncryptUpdate(seal, NULL, &n, additional, sizeof additional);
		EVP_EncryptUpdate(seal, out, &n, in, size);
		EVP_EncryptFinal_ex(seal, out + n, &n);
		EVP_CIPHER_CTX_ctrl(seal, EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag);
		EVP_DecryptInit_ex(open, NULL, NULL, NULL, nonce);
		EVP_DecryptUpdate(open, NULL, &n, additional, sizeof additional);
		EVP_DecryptUpdate(open, out, &n, out, size);
		EVP_CIPHER_CTX_ctrl(open, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag);
		if (EVP_DecryptFinal_ex(open, out + n, &n) <= 0)
			die("a good record does not open");
	}
}

static void records(int bytes, double ms) {
	if (!established.client) {
		established = new_pair(&settings[0]);
		connect_pair(&established);
	}
	size = bytes;
	double bare = measure(ms / 2, seal_and_open, in_flight);
	printf("cost %f floor %f\n", measure(ms / 2, exchange, in_flight), bare);
}

static double heap(void) {
	malloc_trim(0);
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

/* What queues hold doesn't count. */
static void idle(int pairs) {
	struct pair *all = calloc(pairs, sizeof *all);
	double before = heap() + pairs * 2 * (sizeof(struct queue) + 16);
	for (int i = 0; i < pairs; i++) {
		all[i] = new_pair(&settings[0]);
		connect_pair(&all[i]);
		free_queue(all[i].in);
		free_queue(all[i].out);
	}
	double both = heap();
	for (int i = 0; i < pairs; i++)
		free_side(all[i].client);
	double servers = heap();
	for (int i = 0; i < pairs; i++) {
		free_side(all[i].server);
		free(all[i].in);
		free(all[i].out);
	}
	free(all);
	printf("heap %f clientheap %f\n", (servers - before) / pairs, (both - servers) / pairs);
}

static int bound(struct sockaddr_in *address) {
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t length = sizeof *address;
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(s, (void *)address, length) || getsockname(s, (void *)address, &length))
		die("bind");
	return s;
}

static void patience(int socket, int ms) {
	struct timeval t = {ms / 1000, ms % 1000 * 1000};
	setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

static void over_socket(SSL *s, int socket) {
	BIO *b = new_end(NULL, NULL, socket);
	SSL_set_bio(s, b, b);
	patience(socket, 300);
	for (int tries = 0; !advance(s); tries++) {
		if (tries > 50)
			die("the handshake does not end");
		DTLSv1_handle_timeout(s);
	}
	patience(socket, 0);
}

/* Reads until a datagram with one byte, and tells what one cost. */
static void receive_all(int socket, int result) {
	SSL *s = new_server(&settings[0]);
	over_socket(s, socket);
	double count = 0, began = 0;
	while (SSL_read(s, buffer, sizeof buffer) > 1)
		if (count++ == 0)
			began = cpu();
	double each = (cpu() - began) / count;
	_exit(write(result, &each, sizeof each) != sizeof each);
}

static SSL *sending;

static void send_one(void) {
	if (SSL_write(sending, data, size) != size)
		die("write");
}

static void datagrams(int bytes, double ms) {
	struct sockaddr_in here, there;
	int near = bound(&here), far = bound(&there), result[2];
	if (connect(near, (void *)&there, sizeof there) || connect(far, (void *)&here, sizeof here) || pipe(result))
		die("sockets");
	fflush(stdout);
	pid_t child = fork();
	if (!child) {
		close(near);
		receive_all(far, result[1]);
	}
	close(far);
	sending = new_client(&settings[0]);
	over_socket(sending, near);
	size = bytes;
	double each = measure(ms, send_one, 1), received;
	for (int i = 0; i < 10; i++) { /* one of them comes through */
		usleep(20000);
		SSL_write(sending, data, 1);
	}
	if (read(result[0], &received, sizeof received) != sizeof received)
		die("the receiver");
	waitpid(child, NULL, 0);
	free_side(sending);
	close(near);
	close(result[0]);
	close(result[1]);
	printf("cost %f receiver %f\n", each, received);
}

int main(void) {
	char line[100], kind[10];
	int number;
	double ms;
	make_certificate();
	set_up(&settings[0], 0);
	set_up(&settings[1], 1);
	puts(OpenSSL_version(OPENSSL_VERSION));
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "records %d %lf", &number, &ms) == 2)
			records(number, ms);
		else if (sscanf(line, "handshakes %9s %lf", kind, &ms) == 2)
			handshakes(kind, ms);
		else if (sscanf(line, "idle %d", &number) == 1)
			idle(number);
		else if (sscanf(line, "datagrams %d %lf", &number, &ms) == 2)
			datagrams(number, ms);
		else
			die(line);
		fflush(stdout);
	}
	return 0;
}
