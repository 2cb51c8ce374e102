/*
 * The far end of a tunnel, and the yardstick for ours: CDTunnel over TLS 1.2 with a pre-shared key, then packets between
 * the connection and a TUN device in one loop with poll(). Nothing but what the measurement needs; see README.md.
 *
 *   tunend device|host ADDRESS PORT SUITES MTU INTERFACE LOCAL6 PEER6
 *
 * SUITES is an OpenSSL cipher list. LOCAL6 and PEER6 are the inner addresses; a host takes those of the answer as given.
 * Prints one line when it is up: "suite NAME mtu MTU interface INTERFACE".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEY_LEN = 32, KEY_BYTE = 0x42, HEADER = 10, IPV6_HEADER = 40, TURN = 32, STREAM_LEN = 1 << 18 };

struct options {
    int device, port, mtu;
    const char *address, *suites, *interface, *local, *peer;
};

struct relay {
    SSL *ssl;
    int tun, socket;
    /* Bytes from the connection: packets, the last of them perhaps torn. */
    unsigned char stream[STREAM_LEN];
    size_t stream_len;
    /* A packet from the device that the connection has not taken yet. */
    unsigned char packet[65576];
    size_t packet_len;
};

static void die(const char *what) {
    fprintf(stderr, "tunend: %s: %s\n", what, errno ? strerror(errno) : "failed");
    ERR_print_errors_fp(stderr);
    exit(1);
}

static unsigned int client_key(SSL *ssl, const char *hint, char *identity, unsigned int identity_len,
                               unsigned char *key, unsigned int key_len) {
    (void)ssl, (void)hint, (void)identity_len;
    if (key_len < KEY_LEN) return 0;
    identity[0] = 0;
    memset(key, KEY_BYTE, KEY_LEN);
    return KEY_LEN;
}

static unsigned int server_key(SSL *ssl, const char *identity, unsigned char *key, unsigned int key_len) {
    (void)ssl, (void)identity;
    if (key_len < KEY_LEN) return 0;
    memset(key, KEY_BYTE, KEY_LEN);
    return KEY_LEN;
}

static int connection(const struct options *options) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options->port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || inet_pton(AF_INET, options->address, &address.sin_addr) != 1) die("address");
    if (options->device) {
        int listener = fd;
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(listener, (void *)&address, sizeof address) || listen(listener, 1)) die("listen");
        if ((fd = accept(listener, NULL, NULL)) < 0) die("accept");
        close(listener);
    } else if (connect(fd, (void *)&address, sizeof address)) {
        die("connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static SSL *tls(const struct options *options, int fd) {
    SSL_CTX *context = SSL_CTX_new(options->device ? TLS_server_method() : TLS_client_method());
    if (!context || !SSL_CTX_set_cipher_list(context, options->suites)) die("suites");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_psk_server_callback(context, server_key);
    SSL_CTX_set_psk_client_callback(context, client_key);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL *ssl = SSL_new(context);
    if (!ssl || !SSL_set_fd(ssl, fd)) die("TLS");
    if ((options->device ? SSL_accept(ssl) : SSL_connect(ssl)) != 1) die("TLS handshake");
    return ssl;
}

static void send_message(SSL *ssl, const char *json) {
    unsigned char message[1024] = "CDTunnel";
    size_t length = strlen(json);
    message[8] = length >> 8, message[9] = length & 0xff;
    memcpy(message + HEADER, json, length);
    if (SSL_write(ssl, message, HEADER + length) <= 0) die("CDTunnel");
}

static void read_exactly(SSL *ssl, unsigned char *bytes, size_t length) {
    for (int count; length; bytes += count, length -= count)
        if ((count = SSL_read(ssl, bytes, length)) <= 0) die("CDTunnel");
}

static void read_message(SSL *ssl) {
    unsigned char header[HEADER], body[65536];
    read_exactly(ssl, header, HEADER);
    if (memcmp(header, "CDTunnel", 8)) die("no CDTunnel message");
    read_exactly(ssl, body, header[8] << 8 | header[9]);
}

static void open_tunnel(const struct options *options, SSL *ssl) {
    char json[512];
    if (!options->device) {
        snprintf(json, sizeof json, "{\"type\":\"clientHandshakeRequest\",\"mtu\":%d}", options->mtu);
        send_message(ssl, json);
        read_message(ssl);
        return;
    }
    read_message(ssl);
    snprintf(json, sizeof json,
             "{\"clientParameters\":{\"address\":\"%s\",\"mtu\":%d,\"netmask\":\"ffff:ffff:ffff:ffff::\"},"
             "\"serverAddress\":\"%s\",\"serverRSDPort\":58783,\"type\":\"serverHandshakeResponse\"}",
             options->peer, options->mtu, options->local);
    send_message(ssl, json);
}

static int open_tun(const struct options *options) {
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    char command[512];
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    strncpy(request.ifr_name, options->interface, IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request)) die("TUN device");
    snprintf(command, sizeof command, "ip link set %s mtu %d && ip -6 addr add %s/64 dev %s nodad && ip link set %s up",
             options->interface, options->mtu, options->local, options->interface, options->interface);
    if (system(command)) die("ip");
    return fd;
}

/* Whole packets of the stream go to the device; what is torn moves to the front. */
static void deliver(struct relay *relay) {
    size_t start = 0;
    while (relay->stream_len - start >= IPV6_HEADER) {
        unsigned char *packet = relay->stream + start;
        size_t length = IPV6_HEADER + (packet[4] << 8 | packet[5]);
        if (relay->stream_len - start < length) break;
        if (write(relay->tun, packet, length) < 0 && errno != EIO) die("TUN write");
        start += length;
    }
    memmove(relay->stream, relay->stream + start, relay->stream_len -= start);
}

/* 0: nothing more now; 1: something was read; exits at the end of the stream. */
static int from_connection(struct relay *relay) {
    int count = SSL_read(relay->ssl, relay->stream + relay->stream_len, STREAM_LEN - relay->stream_len);
    if (count <= 0) {
        if (SSL_get_error(relay->ssl, count) == SSL_ERROR_WANT_READ) return 0;
        exit(0);
    }
    relay->stream_len += count;
    deliver(relay);
    return 1;
}

/* 0: the connection is full. */
static int to_connection(struct relay *relay) {
    while (relay->packet_len) {
        int count = SSL_write(relay->ssl, relay->packet, relay->packet_len);
        if (count <= 0) {
            int why = SSL_get_error(relay->ssl, count);
            if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ) return 0;
            exit(0);
        }
        memmove(relay->packet, relay->packet + count, relay->packet_len -= count);
    }
    return 1;
}

static int from_tun(struct relay *relay) {
    ssize_t count = read(relay->tun, relay->packet, sizeof relay->packet);
    if (count <= 0) return 0;
    relay->packet_len = relay->packet[0] >> 4 == 6 ? count : 0;
    return 1;
}

static void run(struct relay *relay) {
    fcntl(relay->socket, F_SETFL, O_NONBLOCK);
    for (;;) {
        struct pollfd fds[2] = {{relay->socket, POLLIN | (relay->packet_len ? POLLOUT : 0), 0},
                                {relay->tun, relay->packet_len ? 0 : POLLIN, 0}};
        int pending = SSL_has_pending(relay->ssl);
        poll(fds, 2, pending ? 0 : -1);
        if (pending || fds[0].revents & (POLLIN | POLLHUP | POLLERR))
            for (int turn = 0; turn < TURN && from_connection(relay); turn++) {}
        if (to_connection(relay) && fds[1].revents & POLLIN)
            for (int turn = 0; turn < TURN && from_tun(relay) && to_connection(relay); turn++) {}
    }
}

int main(int count, char **arguments) {
    static struct relay relay;
    if (count != 9) {
        fprintf(stderr, "usage: tunend device|host ADDRESS PORT SUITES MTU INTERFACE LOCAL6 PEER6\n");
        return 2;
    }
    struct options options = {
        .device = !strcmp(arguments[1], "device"), .address = arguments[2], .port = atoi(arguments[3]),
        .suites = arguments[4], .mtu = atoi(arguments[5]), .interface = arguments[6], .local = arguments[7],
        .peer = arguments[8],
    };
    signal(SIGPIPE, SIG_IGN);
    relay.socket = connection(&options);
    relay.ssl = tls(&options, relay.socket);
    open_tunnel(&options, relay.ssl);
    relay.tun = open_tun(&options);
    printf("suite %s mtu %d interface %s\n", SSL_get_cipher(relay.ssl), options.mtu, options.interface);
    fflush(stdout);
    run(&relay);
}
