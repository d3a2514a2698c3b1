/* A stand-in for libnvidia-ml.so.1, so that the real binding (nvidia-ml-py) and the real child can be driven without a GPU.
 *
 *   gcc -shared -fPIC -O1 -o libnvidia-ml.so.1 fake_nvml.c
 *
 * Read from the environment at each call:
 *   FAKE_NVML_GPUS     "name|MiB|cc major|cc minor|pci device in hex|mig mode;…"; MiB 0: memory "not supported"
 *   FAKE_NVML_INIT_RC  what nvmlInit returns (9 driver not loaded, 18 library and driver differ)
 *   FAKE_NVML_DRIVER   driver version            FAKE_NVML_CUDA  13000 for 13.0
 *   FAKE_NVML_HALF     every second question about a device is answered "not supported"
 *   FAKE_NVML_HANG     name of a function that sleeps for a minute   FAKE_NVML_CRASH  name of one that crashes
 *   FAKE_NVML_AT       only for the device of this index             FAKE_NVML_LOST   index of a device that is lost
 *   FAKE_NVML_FABRIC   state of the NVLink fabric
 * Every text that a real library could give and that must not leave the machine (UUID, serial, bus address) is SECRET….
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int R;
typedef void *D;
typedef unsigned long long U64;
typedef struct { U64 total, free_, used; } Memory;
typedef struct { unsigned version; U64 total, reserved, free_, used; } Memory2;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char address[32]; } Pci;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned pid; U64 used; unsigned instance, compute; } Process;
typedef struct { unsigned char cluster[16]; R status; unsigned clique; unsigned char state; } Fabric;
typedef struct { char name[96]; U64 mib; int major, minor; unsigned pci; int mig; } Gpu;

enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, SMALL = 7, LOST = 15, MIG_BASE = 1000 };

static const char *text(const char *key, const char *otherwise) {
    const char *value = getenv(key);
    return value && *value ? value : otherwise;
}
static int number(const char *key, int otherwise) { return atoi(text(key, "")) || *text(key, "") ? atoi(text(key, "0")) : otherwise; }

static unsigned gpus(Gpu *into) {
    static char copy[16384];
    unsigned count = 0;
    snprintf(copy, sizeof copy, "%s", text("FAKE_NVML_GPUS", ""));
    char *rest, *row = strtok_r(copy, ";", &rest);
    for (; row && count < 64; row = strtok_r(NULL, ";", &rest), count++)
        if (into)
            sscanf(row, "%95[^|]|%llu|%d|%d|%x|%d", into[count].name, &into[count].mib, &into[count].major,
                   &into[count].minor, &into[count].pci, &into[count].mig);
    return count;
}
static unsigned place(D device) { return ((unsigned)(size_t)device - 1) % MIG_BASE; }
static int is_mig(D device) { return (size_t)device > MIG_BASE; }
static Gpu gpu(D device) {
    Gpu all[64];
    memset(all, 0, sizeof all);
    gpus(all);
    return all[place(device)];
}
/* 0 goes on; everything else is the answer. `odd` questions are the half that FAKE_NVML_HALF refuses. */
static R at(const char *function, int index, int odd) {
    int wanted = number("FAKE_NVML_AT", -1);
    if (wanted < 0 || index < 0 || wanted == index) {
        if (!strcmp(text("FAKE_NVML_HANG", ""), function)) sleep(60);
        if (!strcmp(text("FAKE_NVML_CRASH", ""), function)) abort();
    }
    return odd && number("FAKE_NVML_HALF", 0) ? UNSUPPORTED : OK;
}
#define ASK(odd) do { R refused = at(__func__, (int)place(d), odd); if (refused) return refused; } while (0)

R nvmlInitWithFlags(unsigned flags) { (void)flags; at("nvmlInit", -1, 0); return number("FAKE_NVML_INIT_RC", 0); }
R nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
R nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(R code) { (void)code; return "SECRET error text"; }
R nvmlSystemGetDriverVersion(char *b, unsigned n) { at(__func__, -1, 0); snprintf(b, n, "%s", text("FAKE_NVML_DRIVER", "580.65.06")); return OK; }
R nvmlSystemGetNVMLVersion(char *b, unsigned n) { snprintf(b, n, "13.%s", text("FAKE_NVML_DRIVER", "580.65.06")); return OK; }
R nvmlSystemGetCudaDriverVersion_v2(int *v) { *v = number("FAKE_NVML_CUDA", 13000); return OK; }
R nvmlSystemGetProcessName(unsigned pid, char *b, unsigned n) { (void)pid; snprintf(b, n, "/home/SECRETuser/bin/python3 --token SECRETtoken"); return OK; }
R nvmlDeviceGetCount_v2(unsigned *count) { *count = gpus(NULL); return OK; }
R nvmlDeviceGetHandleByIndex_v2(unsigned i, D *d) {
    if (i >= gpus(NULL)) return INVALID;
    if ((int)i == number("FAKE_NVML_LOST", -1)) return LOST;
    *d = (void *)(size_t)(i + 1);
    return at(__func__, (int)i, 0);
}
R nvmlDeviceGetName(D d, char *b, unsigned n) { ASK(0); snprintf(b, n, is_mig(d) ? "%s MIG 1g.10gb" : "%s", gpu(d).name); return OK; }
R nvmlDeviceGetUUID(D d, char *b, unsigned n) { ASK(0); snprintf(b, n, "GPU-SECRET-uuid"); return OK; }
R nvmlDeviceGetSerial(D d, char *b, unsigned n) { ASK(0); snprintf(b, n, "SECRETserial"); return OK; }
R nvmlDeviceGetMemoryInfo(D d, Memory *m) {
    ASK(0);
    U64 total = (is_mig(d) ? gpu(d).mib / 8 : gpu(d).mib) << 20;
    if (!total) return UNSUPPORTED;
    m->total = total; m->used = 1ULL << 30; m->free_ = total - m->used;
    return OK;
}
R nvmlDeviceGetMemoryInfo_v2(D d, Memory2 *m) {
    Memory plain;
    R code = nvmlDeviceGetMemoryInfo(d, &plain);
    if (code) return code;
    m->total = plain.total; m->reserved = 512ULL << 20; m->used = plain.used; m->free_ = plain.free_;
    return OK;
}
R nvmlDeviceGetCudaComputeCapability(D d, int *major, int *minor) { ASK(0); *major = gpu(d).major; *minor = gpu(d).minor; return OK; }
R nvmlDeviceGetPciInfo_v3(D d, Pci *p) {
    ASK(0);
    memset(p, 0, sizeof *p);
    p->id = gpu(d).pci << 16 | 0x10de;
    snprintf(p->address, sizeof p->address, "00000000:%02X:00.0", 0x10 + place(d));
    snprintf(p->legacy, sizeof p->legacy, "0000:%02X:00.0", 0x10 + place(d));
    return OK;
}
R nvmlDeviceGetMigMode(D d, unsigned *now, unsigned *next) { ASK(0); if (gpu(d).mig < 0) return UNSUPPORTED; *now = *next = (unsigned)gpu(d).mig; return OK; }
R nvmlDeviceGetMaxMigDeviceCount(D d, unsigned *n) { ASK(0); *n = 7; return OK; }
R nvmlDeviceGetMigDeviceHandleByIndex(D d, unsigned i, D *child) {
    ASK(0);
    if (i >= 2) return 6;
    *child = (void *)((size_t)d + MIG_BASE * (i + 1));
    return OK;
}
R nvmlDeviceGetCurrPcieLinkGeneration(D d, unsigned *v) { ASK(1); *v = 1; return OK; }
R nvmlDeviceGetMaxPcieLinkGeneration(D d, unsigned *v) { ASK(0); *v = 5; return OK; }
R nvmlDeviceGetCurrPcieLinkWidth(D d, unsigned *v) { ASK(1); *v = 8; return OK; }
R nvmlDeviceGetMaxPcieLinkWidth(D d, unsigned *v) { ASK(0); *v = 16; return OK; }
R nvmlDeviceGetMemoryBusWidth(D d, unsigned *v) { ASK(1); *v = 384; return OK; }
R nvmlDeviceGetClockInfo(D d, unsigned kind, unsigned *v) { ASK(0); *v = kind == 1 ? 210 : 405; return OK; }
R nvmlDeviceGetMaxClockInfo(D d, unsigned kind, unsigned *v) { ASK(1); *v = kind == 1 ? 2520 : 10501; return OK; }
R nvmlDeviceGetPowerUsage(D d, unsigned *v) { ASK(0); *v = 71500; return OK; }
R nvmlDeviceGetEnforcedPowerLimit(D d, unsigned *v) { ASK(1); *v = 450000; return OK; }
R nvmlDeviceGetPowerManagementLimitConstraints(D d, unsigned *low, unsigned *high) { ASK(1); *low = 150000; *high = 600000; return OK; }
R nvmlDeviceGetTemperature(D d, unsigned sensor, unsigned *v) { (void)sensor; ASK(0); *v = 41; return OK; }
R nvmlDeviceGetUtilizationRates(D d, Utilization *u) { ASK(1); u->gpu = 7; u->memory = 3; return OK; }
R nvmlDeviceGetCurrentClocksThrottleReasons(D d, U64 *v) { ASK(0); *v = 0x4 | 0x40; return OK; }
R nvmlDeviceGetTotalEccErrors(D d, unsigned kind, unsigned counter, U64 *v) { (void)kind; (void)counter; ASK(1); *v = 3; return OK; }
R nvmlDeviceGetPersistenceMode(D d, unsigned *v) { ASK(0); *v = 1; return OK; }
R nvmlDeviceGetComputeMode(D d, unsigned *v) { ASK(1); *v = 3; return OK; }
R nvmlDeviceGetGpuFabricInfo(D d, Fabric *f) {
    ASK(0);
    if (number("FAKE_NVML_FABRIC", -1) < 0) return UNSUPPORTED;
    memset(f, 0, sizeof *f);
    f->state = (unsigned char)number("FAKE_NVML_FABRIC", 0);
    return OK;
}
R nvmlDeviceGetComputeRunningProcesses_v3(D d, unsigned *count, Process *p) {
    ASK(0);
    if (*count < 1 || !p) { *count = 1; return SMALL; }
    memset(p, 0, sizeof *p);
    p->pid = 4242; p->used = 2ULL << 30; *count = 1;
    return OK;
}
R nvmlDeviceGetTopologyCommonAncestor(D d, D other, unsigned *level) { ASK(0); (void)other; *level = 30; return OK; }
R nvmlDeviceGetP2PStatus(D d, D other, unsigned kind, unsigned *status) { ASK(0); (void)kind; *status = gpu(d).major != gpu(other).major; return OK; }
R nvmlDeviceGetNvLinkState(D d, unsigned link, unsigned *on) { ASK(0); if (gpu(d).major != 9 || link >= 18) return UNSUPPORTED; *on = 1; return OK; }
R nvmlDeviceGetNvLinkRemotePciInfo_v2(D d, unsigned link, Pci *p) { ASK(0); (void)link; memset(p, 0, sizeof *p); snprintf(p->address, sizeof p->address, "00000000:F0:00.0"); return OK; }
