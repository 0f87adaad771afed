// A CUDA runtime that does nothing, for builds of torch without one: autograd asks for the device's
// guard and stream, and torch for its one accelerator, also where no kernel is ever launched.
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

using c10::Device, c10::DeviceIndex, c10::DeviceType, c10::Stream;

namespace {

const Device THE_GPU(DeviceType::CUDA, 0);

struct Guard final : c10::impl::NoOpDeviceGuardImpl<DeviceType::CUDA> {
  Device exchangeDevice(Device) const override { return THE_GPU; }
  Device getDevice() const override { return THE_GPU; }
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, THE_GPU); }
  Stream getDefaultStream(Device) const override { return Stream(Stream::DEFAULT, THE_GPU); }
  Stream exchangeStream(Stream) const noexcept override { return Stream(Stream::DEFAULT, THE_GPU); }
  void record(void**, const Stream&, const DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const Stream&) const override {}
};

// Without `override`: versions of torch differ in what they ask, and none asks for all of these.
struct CUDAHooks final : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const {}
  bool hasCUDA() const { return true; }
  bool isBuilt() const { return true; }
  bool isAvailable() const { return true; }
  bool hasPrimaryContext(DeviceIndex) const { return true; }
  DeviceIndex deviceCount() const { return 1; }
  DeviceIndex getCurrentDevice() const { return 0; }
};

c10::impl::DeviceGuardImplRegistrar guard(DeviceType::CUDA, new Guard);

}  // namespace

namespace at {
REGISTER_CUDA_HOOKS(CUDAHooks);
}
