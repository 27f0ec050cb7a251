// The four routines of BLAS that liblinear calls, in plain loops. A BLAS of the system would be one
// of several, with sums in an order of its own and threads of its own: the same data would give
// other weights on the next machine. These vectors are short beside liblinear's own work.
#include <cmath>

namespace {

// Four chains of additions, always the same ones.
double product(int n, const double* x, int x_step, const double* y, int y_step) {
  double sums[4] = {0, 0, 0, 0};
  for (int i = 0; i < n; ++i)
    sums[i & 3] += x[static_cast<long>(i) * x_step] * y[static_cast<long>(i) * y_step];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

}  // namespace

extern "C" {

// Their Fortran signatures, as liblinear's blas.h declares them. Steps are positive in all calls.
double ddot_(int* n, double* x, int* x_step, double* y, int* y_step);
double dnrm2_(int* n, double* x, int* x_step);
int daxpy_(int* n, double* a, double* x, int* x_step, double* y, int* y_step);
int dscal_(int* n, double* a, double* x, int* x_step);

double ddot_(int* n, double* x, int* x_step, double* y, int* y_step) {
  return product(*n, x, *x_step, y, *y_step);
}

// Without the scaling that keeps huge numbers from overflowing: norms here are of gradients.
double dnrm2_(int* n, double* x, int* x_step) {
  return std::sqrt(product(*n, x, *x_step, x, *x_step));
}

int daxpy_(int* n, double* a, double* x, int* x_step, double* y, int* y_step) {
  for (int i = 0; i < *n; ++i)
    y[static_cast<long>(i) * *y_step] += *a * x[static_cast<long>(i) * *x_step];
  return 0;
}

int dscal_(int* n, double* a, double* x, int* x_step) {
  for (int i = 0; i < *n; ++i) x[static_cast<long>(i) * *x_step] *= *a;
  return 0;
}

}  // extern "C"
