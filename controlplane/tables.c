/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/maglev_build.h"
#include "dataplane/core/csum.h"

#define FIRST_KEYS_PER_BUCKET 4 /* table size before it grows: half full */
#define OUTER_TTL 64

/* What a Maglev table was built from, and where it is. */
struct maglev_cached {
	u64 offset;
	u32 size;
	size_t backends_count;
	struct maglev_backend *backends;
	u32 *slots; /* by backend number: how many are its */
	bool used;  /* by the generation being built */
};

struct tables_builder {
	struct arena_writer *writer;
	struct maglev_history *history; /* NULL: none */
	struct maglev_cached *cached;   /* between two builds in the order of their offsets */
	size_t cached_count;
};

struct build {
	struct tables_builder *builder;
	struct arena_writer *writer;
	const struct plan *plan;
	struct arena_root root;
	struct service_bucket *buckets;
	struct service *services;
	struct backend *backends;
};

int tables_builder_create(struct arena_writer *writer, struct maglev_history *history,
			  struct tables_builder **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->writer = writer;
	(*out)->history = history;
	return 0;
}

static void cached_free(struct maglev_cached *cached)
{
	free(cached->backends);
	free(cached->slots);
}

void tables_builder_destroy(struct tables_builder *builder)
{
	if (!builder)
		return;
	for (size_t i = 0; i < builder->cached_count; i++)
		cached_free(&builder->cached[i]);
	free(builder->cached);
	free(builder);
}

static u32 backends_total(const struct plan *plan)
{
	u32 total = 0;

	for (size_t i = 0; i < plan->config->services_count; i++)
		total += plan_highest_number(&plan->services[i]) + 1;
	return total;
}

u64 tables_bytes(const struct plan *plan)
{
	u64 services = plan->config->services_count;
	u64 bytes = sizeof(struct arena_root) + backends_total(plan) * sizeof(struct backend);

	for (size_t i = 0; i < services; i++)
		bytes += ((u64)plan->config->services[i].table_size * sizeof(u16) + 63) / 64 * 64;
	/* Two keys a service, and the table may grow well past half full. */
	return bytes + (services * 2 + 8) * 4 * (sizeof(struct service) + sizeof(u64));
}

/* --- Maglev tables ------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	return ((const struct maglev_backend *)a)->number -
	       ((const struct maglev_backend *)b)->number;
}

/* The backends that share the service's slots. */
static size_t eligible_backends(const struct plan_service *service, struct maglev_backend *out)
{
	size_t count = 0;

	for (size_t i = 0; i < service->config->backends_count; i++) {
		const struct plan_backend *backend = &service->backends[i];

		if (!plan_backend_eligible(backend))
			continue;
		memset(&out[count], 0, sizeof(out[count])); /* padding is compared too */
		out[count].address = backend->config->address;
		out[count].weight = backend->config->weight;
		out[count].number = backend->number;
		count++;
	}
	qsort(out, count, sizeof(*out), by_number);
	return count;
}

static struct maglev_cached *cached_find(struct tables_builder *builder, u32 size,
					 const struct maglev_backend *backends, size_t count)
{
	for (size_t i = 0; i < builder->cached_count; i++) {
		struct maglev_cached *cached = &builder->cached[i];

		if (cached->size == size && cached->backends_count == count &&
		    memcmp(cached->backends, backends, count * sizeof(*backends)) == 0)
			return cached;
	}
	return NULL;
}

/* The backends are in the order of their numbers. */
static u32 slots_bound(const struct maglev_backend *backends, size_t count)
{
	return count > 0 ? backends[count - 1].number + 1u : 1;
}

/* Adds a table to the cache; takes `backends` over. */
static int cached_add(struct tables_builder *builder, u64 offset, u32 size,
		      struct maglev_backend *backends, size_t count)
{
	const u16 *table = arena_writer_at(builder->writer, offset);
	u32 *slots = calloc(slots_bound(backends, count), sizeof(*slots));
	struct maglev_cached *list =
		reallocarray(builder->cached, builder->cached_count + 1, sizeof(*list));

	if (list)
		builder->cached = list;
	if (!list || !slots) {
		free(slots);
		return -ENOMEM;
	}
	for (u32 i = 0; i < size; i++)
		slots[table[i]]++;
	list[builder->cached_count++] = (struct maglev_cached){
		.offset = offset,
		.size = size,
		.backends_count = count,
		.backends = backends,
		.slots = slots,
		.used = true,
	};
	return 0;
}

static int maglev_make(struct build *build, const struct plan_service *service, u64 *offset)
{
	u32 size = service->config->table_size;
	struct maglev_backend *backends =
		calloc(service->config->backends_count + 1, sizeof(*backends));
	struct maglev_cached *cached;
	size_t count;
	int err;

	if (!backends)
		return -ENOMEM;
	count = eligible_backends(service, backends);
	cached = cached_find(build->builder, size, backends, count);
	if (cached) {
		arena_writer_keep(build->writer, cached->offset);
		cached->used = true;
		*offset = cached->offset;
		free(backends);
		return 0;
	}
	err = -ENOSPC;
	*offset = arena_writer_alloc(build->writer, size * sizeof(u16));
	if (*offset == 0)
		goto fail;
	err = maglev_build(arena_writer_at(build->writer, *offset), size, backends, count);
	if (err)
		goto fail;
	err = cached_add(build->builder, *offset, size, backends, count);
	if (err)
		goto fail;
	return 0;
fail:
	free(backends);
	return err;
}

static int numbers_ascend(const void *a, const void *b)
{
	return *(const u16 *)a - *(const u16 *)b;
}

/* The table before the present one, for who is in the middle of a handshake: UDP has none. */
static int maglev_previous(struct build *build, const struct plan_service *service,
			   u64 maglev_offset, u64 *previous_offset)
{
	size_t count = service->config->backends_count;
	u16 *numbers;
	int err;

	*previous_offset = maglev_offset;
	if (!build->builder->history || service->config->protocol != CONFIG_PROTOCOL_TCP)
		return 0;
	numbers = calloc(count + 1, sizeof(*numbers));
	if (!numbers)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		numbers[i] = service->backends[i].number;
	qsort(numbers, count, sizeof(*numbers), numbers_ascend);
	err = maglev_history_step(build->builder->history,
				  &(struct maglev_present){
					  .service_number = service->number,
					  .size = service->config->table_size,
					  .offset = maglev_offset,
					  .numbers = numbers,
					  .numbers_count = count,
				  },
				  previous_offset);
	free(numbers);
	return err;
}

static int by_offset(const void *a, const void *b)
{
	const struct maglev_cached *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Forgets the tables that the generation just published (or given up) does not use. */
static void cached_settle(struct tables_builder *builder, bool published, u64 published_before)
{
	size_t kept = 0;

	for (size_t i = 0; i < builder->cached_count; i++) {
		struct maglev_cached *cached = &builder->cached[i];

		if (published ? cached->used : i < published_before) {
			cached->used = false;
			builder->cached[kept++] = *cached;
		} else {
			cached_free(cached);
		}
	}
	builder->cached_count = kept;
	if (kept > 0)
		qsort(builder->cached, kept, sizeof(*builder->cached), by_offset);
}

u32 tables_slots(const struct tables_builder *builder, u64 maglev_offset, u16 number)
{
	struct maglev_cached wanted = {.offset = maglev_offset};
	const struct maglev_cached *cached =
		builder->cached_count > 0 ? bsearch(&wanted, builder->cached, builder->cached_count,
						    sizeof(wanted), by_offset)
					  : NULL;

	if (!cached || number >= slots_bound(cached->backends, cached->backends_count))
		return 0;
	return cached->slots[number];
}

/* --- Backend records ----------------------------------------------------------------- */

/* Bits of the outer source's last two bytes that lie below the configured prefix. */
static u16 entropy_mask(const struct config_prefix *source)
{
	unsigned host_bits = 128u - source->bits;

	return host_bits >= 16 ? 0xffff : (u16)((1u << host_bits) - 1);
}

static u8 outer_protocol(const struct plan_service *service)
{
	if (service->config->encapsulation == CONFIG_ENCAP_GUE)
		return PROTOCOL_UDP;
	return addr_is_v4(&service->config->vip.addr) ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
}

static void fill_outer_v4(struct backend *out, const struct config_prefix *source,
			  const struct addr *destination, u8 protocol)
{
	out->ethernet.type = BE16(ETHERTYPE_IPV4);
	out->outer.v4 = (struct ipv4_header){
		.version_ihl = 0x45,
		.ttl = OUTER_TTL,
		.protocol = protocol,
		.source = addr_v4(&source->addr),
		.destination = addr_v4(destination),
	};
	out->outer.v4.csum = csum_fold(csum_words(&out->outer.v4, IPV4_HEADER_BYTES / 4));
}

static void fill_outer_v6(struct backend *out, const struct config_prefix *source,
			  const struct addr *destination, u8 protocol)
{
	out->ethernet.type = BE16(ETHERTYPE_IPV6);
	out->flags |= BACKEND_OUTER_V6;
	out->outer.v6 = (struct ipv6_header){
		.version_class_label = BE32(6u << 28),
		.next_header = protocol,
		.hop_limit = OUTER_TTL,
	};
	memcpy(out->outer.v6.source, source->addr.bytes, 16);
	memcpy(out->outer.v6.destination, destination->bytes, 16);
}

static void fill_outer(struct backend *out, const struct config_defaults *defaults,
		       const struct plan_service *service, const struct addr *destination)
{
	u8 protocol = outer_protocol(service);

	if (service->config->encapsulation == CONFIG_ENCAP_GUE)
		out->flags |= BACKEND_GUE;
	if (addr_is_v4(destination)) {
		out->source_mask = BE16(entropy_mask(&defaults->source_v4));
		fill_outer_v4(out, &defaults->source_v4, destination, protocol);
	} else {
		out->source_mask = BE16(entropy_mask(&defaults->source_v6));
		fill_outer_v6(out, &defaults->source_v6, destination, protocol);
	}
}

/* The configuration's rule has made sure that the backend is of the packet's family. */
static void fill_l2(struct backend *out, const struct addr *destination)
{
	out->flags |= BACKEND_L2;
	out->ethernet.type = BE16(addr_is_v4(destination) ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
}

static void fill_backend(struct backend *out, const struct plan *plan,
			 const struct plan_service *service, const struct plan_backend *backend)
{
	const struct addr *destination = &backend->config->address;

	out->counter = backend->counter;
	if (backend->config->state == CONFIG_STATE_MAINTENANCE)
		return; /* absent: its flows are picked anew */
	out->flags = BACKEND_PRESENT;
	if (!plan_backend_eligible(backend))
		out->flags |= BACKEND_NO_NEW;
	if (backend->hop.reachable)
		out->flags |= BACKEND_REACHABLE;
	out->port = backend->hop.port;
	out->mtu = backend->hop.mtu;
	memcpy(out->ethernet.destination, backend->hop.destination_mac, 6);
	memcpy(out->ethernet.source, backend->hop.source_mac, 6);
	if (service->config->encapsulation == CONFIG_ENCAP_L2)
		fill_l2(out, destination);
	else
		fill_outer(out, &plan->config->defaults, service, destination);
}

static u32 fill_backends(struct build *build, const struct plan_service *service, u32 first)
{
	for (size_t i = 0; i < service->config->backends_count; i++) {
		const struct plan_backend *backend = &service->backends[i];

		fill_backend(&build->backends[first + backend->number], build->plan, service,
			     backend);
	}
	return first + plan_highest_number(service) + 1;
}

/* --- The service table --------------------------------------------------------------- */

/* Puts a key into its bucket; returns its index, SERVICE_NONE where the bucket is full, or
 * -- *existing set -- the index it already has. */
static u32 key_insert(struct build *build, u64 key, bool *existing)
{
	u32 bucket = service_bucket_index(key, build->root.buckets_count);
	u64 *keys = build->buckets[bucket].keys;

	*existing = false;
	for (u32 i = 0; i < SERVICE_BUCKET_KEYS; i++) {
		*existing = keys[i] == key;
		if (*existing || keys[i] == 0) {
			keys[i] = key;
			return bucket * SERVICE_BUCKET_KEYS + i;
		}
	}
	return SERVICE_NONE;
}

static bool service_raw_keys(const struct config_service *config)
{
	return addr_is_v4(&config->vip.addr) && config->vip.bits == 128 && config->port != 0 &&
	       config->hash == CONFIG_HASH_5TUPLE;
}

static struct service service_record(const struct plan_service *service)
{
	static const u8 hash_modes[] = {
		[CONFIG_HASH_5TUPLE] = SERVICE_HASH_5TUPLE,
		[CONFIG_HASH_SOURCE] = SERVICE_HASH_SOURCE,
		[CONFIG_HASH_SOURCE_DEST_PORT] = SERVICE_HASH_SOURCE_DEST_PORT,
	};
	const struct config_service *config = service->config;

	return (struct service){
		.vip = config->vip.addr,
		.host_bits = (u8)(128 - config->vip.bits),
		.maglev_size = config->table_size,
		.backends_count = plan_highest_number(service) + 1,
		.counter = service->counter,
		.number = service->number,
		.port = BE16(config->port),
		.protocol = config->protocol,
		.kind = SERVICE_ACTIVE,
		.hash_mode = hash_modes[config->hash],
		.raw_keys = service_raw_keys(config),
	};
}

static u64 record_key(const struct service *record, be16 port, u8 protocol)
{
	return service_key(!addr_is_v4(&record->vip), &record->vip, record->host_bits, port,
			   protocol);
}

/* The service's key and its VIP's. Returns 0, -ENOSPC where a bucket is full (grow the
 * table), -EINVAL where two different services fall on one key. */
static int insert_keys(struct build *build, const struct plan_service *service)
{
	struct service record = service_record(service);
	const struct service *known;
	bool existing;
	u32 index;

	index = key_insert(build, record_key(&record, 0, 0), &existing);
	if (index == SERVICE_NONE)
		return -ENOSPC;
	known = &build->services[index];
	if (existing && (known->kind != SERVICE_VIP_ONLY || known->host_bits != record.host_bits ||
			 !addr_equal(&known->vip, &record.vip)))
		return -EINVAL;
	build->services[index] = (struct service){.vip = record.vip,
						  .host_bits = record.host_bits,
						  .kind = SERVICE_VIP_ONLY};

	index = key_insert(build, record_key(&record, record.port, record.protocol), &existing);
	if (index == SERVICE_NONE)
		return -ENOSPC;
	if (existing)
		return -EINVAL;
	build->services[index] = record;
	return 0;
}

_Static_assert((u32)CONFIG_PREFIX_LENGTHS_MAX == (u32)SERVICE_PREFIXES_MAX,
	       "what may be configured has room");

/* Adds a length to a family's list, which is sorted; 0 or -EINVAL where it is full. */
static int prefix_add(u8 list[static SERVICE_PREFIXES_MAX], u8 host_bits)
{
	u32 place = 0;

	while (place < SERVICE_PREFIXES_MAX && list[place] != 0 && list[place] < host_bits)
		place++;
	if (place < SERVICE_PREFIXES_MAX && list[place] == host_bits)
		return 0;
	if (list[SERVICE_PREFIXES_MAX - 1] != 0)
		return -EINVAL; /* the configuration's rule has made sure that there are no more */
	memmove(&list[place + 1], &list[place], SERVICE_PREFIXES_MAX - 1 - place);
	list[place] = host_bits;
	return 0;
}

static int list_prefixes(struct build *build)
{
	const struct config *config = build->plan->config;
	int err = 0;

	for (size_t i = 0; i < config->services_count && !err; i++) {
		const struct config_prefix *vip = &config->services[i].vip;

		if (vip->bits < 128)
			err = prefix_add(build->root.prefixes[!addr_is_v4(&vip->addr)],
					 (u8)(128 - vip->bits));
	}
	return err;
}

/* Lays the table out at a size, then at larger ones until no bucket overflows. */
static int lay_out_services(struct build *build)
{
	const struct plan *plan = build->plan;
	size_t services_count = plan->config->services_count;
	u32 buckets = (u32)(services_count * 2 / FIRST_KEYS_PER_BUCKET + 1);

	for (;; buckets += buckets / 4 + 1) {
		int err = 0;

		free(build->buckets);
		free(build->services);
		build->buckets = aligned_alloc(64, buckets * sizeof(*build->buckets));
		build->services = aligned_alloc(64, (size_t)buckets * SERVICE_BUCKET_KEYS *
							    sizeof(*build->services));
		if (!build->buckets || !build->services)
			return -ENOMEM;
		memset(build->buckets, 0, buckets * sizeof(*build->buckets));
		memset(build->services, 0,
		       (size_t)buckets * SERVICE_BUCKET_KEYS * sizeof(*build->services));
		build->root.buckets_count = buckets;
		for (size_t i = 0; i < services_count && !err; i++)
			err = insert_keys(build, &plan->services[i]);
		if (err != -ENOSPC)
			return err;
	}
}

/* --- One generation ------------------------------------------------------------------ */

static int complete_services(struct build *build)
{
	u32 first = 0;

	for (size_t i = 0; i < build->plan->config->services_count; i++) {
		const struct plan_service *service = &build->plan->services[i];
		struct service record = service_record(service);
		u64 key = record_key(&record, record.port, record.protocol);
		u32 bucket = service_bucket_index(key, build->root.buckets_count);
		u32 place = service_bucket_find(&build->buckets[bucket], key);
		struct service *out = &build->services[bucket * SERVICE_BUCKET_KEYS + place];
		int err = maglev_make(build, service, &out->maglev_offset);

		if (!err)
			err = maglev_previous(build, service, out->maglev_offset,
					      &out->previous_offset);
		if (err)
			return err;
		out->backends_first = first;
		first = fill_backends(build, service, first);
		if (service->number > build->root.highest_service_number)
			build->root.highest_service_number = service->number;
	}
	return 0;
}

static u64 copy_in(struct arena_writer *writer, const void *from, u64 bytes)
{
	u64 offset = arena_writer_alloc(writer, bytes ? bytes : 1);

	if (offset && bytes)
		memcpy(arena_writer_at(writer, offset), from, bytes);
	return offset;
}

static int build_generation(struct build *build, u64 *root_offset)
{
	struct arena_root *root = &build->root;
	u64 services_bytes;
	int err;

	if (build->plan->counters_count > arena_writer_counters_count(build->writer))
		return -ENOSPC;
	err = list_prefixes(build);
	if (err)
		return err;
	err = lay_out_services(build);
	if (err)
		return err;
	root->seed = hash_seed_derive(build->plan->fleet_seed);
	root->unmatched_pass = build->plan->config->defaults.unmatched == CONFIG_UNMATCHED_PASS;
	root->backends_count = backends_total(build->plan);
	root->backends_offset =
		arena_writer_alloc(build->writer,
				   (u64)root->backends_count * sizeof(struct backend) + 1);
	if (root->backends_offset == 0)
		return -ENOSPC;
	build->backends = arena_writer_at(build->writer, root->backends_offset);
	err = complete_services(build);
	if (err)
		return err;
	services_bytes = (u64)root->buckets_count * SERVICE_BUCKET_KEYS * sizeof(struct service);
	root->buckets_offset = copy_in(build->writer, build->buckets,
				       root->buckets_count * sizeof(struct service_bucket));
	root->services_offset = copy_in(build->writer, build->services, services_bytes);
	*root_offset = copy_in(build->writer, root, sizeof(*root));
	return root->buckets_offset && root->services_offset && *root_offset ? 0 : -ENOSPC;
}

int tables_publish(struct tables_builder *builder, const struct plan *plan, u64 generation)
{
	struct build build = {.builder = builder, .writer = builder->writer, .plan = plan};
	size_t cached_before = builder->cached_count;
	u64 root_offset = 0;
	int err = build_generation(&build, &root_offset);

	free(build.buckets);
	free(build.services);
	if (err) {
		arena_writer_abandon(builder->writer);
		cached_settle(builder, false, cached_before);
		return err;
	}
	arena_writer_publish(builder->writer, root_offset, generation);
	cached_settle(builder, true, 0);
	return 0;
}
