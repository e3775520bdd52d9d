#include "CLarderIntrinsics.h"
